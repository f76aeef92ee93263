//! The protocol and the decisions of the redirect node, tested without sockets through the public API.

mod support;

mod reference_head;

mod invariants;

mod head;

mod head_against_httparse;

mod head_vectors;

mod connection;

mod http2_support;

mod http2_connection;

mod http2_floods;

mod http2_oracle;

mod properties;

mod world;

mod redirects;

mod redirects_oracle;

mod replies;

mod sites;
