"""Makes countries.mmdb and countries-later.mmdb beside this file: pip install mmdb_writer netaddr; python countries.py."""

import pathlib

from mmdb_writer import MMDBWriter
from netaddr import IPSet

HERE = pathlib.Path(__file__).parent


def make(name, local, entry):
    writer = MMDBWriter(6, "Carom-Test-Country", ["en"], "countries for tests", ipv4_compatible=True)
    networks = [("127.0.0.0/8", local), ("192.0.2.0/25", "AT"), ("192.0.2.128/25", "CH"), ("2001:db8:1::/48", "JP")]
    for network, code in networks:
        writer.insert_network(IPSet([network]), entry(code))
    writer.to_db_file(str(HERE / name))


make("countries.mmdb", "DE", lambda code: {"country": {"iso_code": code}})
make("countries-later.mmdb", "FR", lambda code: {"country_code": code})
