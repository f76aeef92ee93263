//! Exports of other shorteners and redirect maps, as rows that build: what each keeps, what it loses, and where it says so.

mod support;

use support::Bench;

/// Imports a text and compares rows and losses; losses as `LINE KIND`.
#[track_caller]
fn check(arguments: &str, input: &str, rows: &[&str], losses: &[&str]) -> Bench {
    let bench = Bench::new();
    bench.write("input", input);
    let command = format!("import {arguments} --domains domains.toml --report report.csv -o links.csv input");
    let said = bench.run(&command).exits(if losses.is_empty() { 0 } else { 3 });
    let text = |name: &str| String::from_utf8(bench.read(name)).unwrap();
    let found: Vec<String> = text("links.csv").lines().skip(1).map(str::to_owned).collect();
    assert_eq!(found, rows, "stderr: {}", said.stderr);
    let report = text("report.csv");
    let mut reader = csv::Reader::from_reader(report.as_bytes());
    let found: Vec<String> = reader
        .records()
        .map(|record| record.unwrap())
        .map(|record| format!("{} {}", &record[1], &record[2]))
        .collect();
    assert_eq!(found, losses, "report: {report}");
    bench
}

#[test]
fn shlink_exports_are_read_in_both_of_their_forms() {
    let web = "createdAt,domain,longUrl,shortCode,shortUrl,tags,title,visits\n\
        2026-01-01T00:00:00+00:00,go.example,https://a.example/?x=1,abc,https://go.example/abc,a|b,A title,7\n\
        2026-01-01T00:00:00+00:00,,https://b.example/,가,https://s.example/가,,,0\n";
    check(
        "--from shlink",
        web,
        &["go.example,abc,https://a.example/?x=1,,,,,,,", "s.example,가,https://b.example/,,,,,,,"],
        &[],
    );
    let importer = "Long URL;Short code;Domain;Valid since;Valid until;Max visits\n\
        https://a.example/;abc;go.example;2026-01-01T00:00:00+01:00;2027-01-01T00:00:00.5Z;\n\
        https://b.example/;b;go.example;;;10\n\
        android://app;c;go.example;;;\n";
    let bench = check(
        "--from shlink",
        importer,
        &[
            "go.example,abc,https://a.example/,,,,,2026-01-01T00:00:00+01:00,2027-01-01T00:00:00Z,",
            "go.example,b,https://b.example/,,,,,,,",
        ],
        &["2 fraction", "3 max-visits", "4 refused"],
    );
    let domains = String::from_utf8(bench.read("domains.toml")).unwrap();
    assert!(domains.contains("query = \"append\""), "{domains}");
    bench.run("import --from shlink --allow-scheme android -o more.csv input").exits(3);
    assert!(
        String::from_utf8(bench.read("more.csv")).unwrap().contains("go.example,c,android://app,,,,append")
    );
}

#[test]
fn a_yourls_dump_and_a_yourls_table_lead_to_the_same_rows() {
    let dump = r"-- MySQL dump 10.13
CREATE TABLE `yourls_url` (`keyword` varchar(100), `url` text);
INSERT INTO `yourls_options` VALUES (1,'version','507');
INSERT INTO `yourls_url` VALUES ('ozh','http://ozh.org/','It\'s; (home)','2026-01-01 10:00:00','192.0.2.1',3),
('q','https://a.example/?a=%2B&b=\'x\'','','2026-01-01 10:00:00','192.0.2.1',0);
/*!40000 ALTER TABLE `yourls_url` ENABLE KEYS */;
INSERT INTO `yourls_url` (`url`, `keyword`) VALUES ('https://c.example/', 'c'), ('one value');
";
    let rows = [
        "go.example,ozh,http://ozh.org/,,,,,,,",
        "go.example,q,https://a.example/?a=%2B&b='x',,,,,,,",
        "go.example,c,https://c.example/,,,,,,,",
    ];
    check("--from yourls --domain go.example", dump, &rows, &["7 malformed"]);
    let table = "keyword,url,title,timestamp,ip,clicks\n\
        ozh,http://ozh.org/,x,,,\nq,https://a.example/?a=%2B&b='x',,,,\nc,https://c.example/,,,,\n";
    check("--from yourls --domain go.example", table, &rows, &[]);
    check("--from yourls", table, &[], &["2 no-domain", "3 no-domain", "4 no-domain"]);
}

#[test]
fn kutt_links_are_read_as_a_page_an_array_or_lines() {
    let first = r#"{"address":"a","banned":false,"id":"1","link":"https://kutt.example/a","password":false,
        "target":"https://a.example/","visit_count":3,"expire_in":null,"domain":null}"#
        .replace('\n', "");
    let second = r#"{"address":"b","banned":true,"link":"https://x/b","target":"https://b.example/","password":false,"domain":"go.example","expire_in":"2027-01-01T00:00:00.000Z"}"#;
    let third = r#"{"address":"c","target":"https://c.example/","password":true}"#;
    let rows = [
        "kutt.example,a,https://a.example/,,,,,,,",
        "go.example,b,https://b.example/,,true,,,,2027-01-01T00:00:00.000Z,",
    ];
    for text in [
        format!("{{\"limit\":10,\"data\":[{first},{second},{third}]}}"),
        format!("[{first},{second},{third}]"),
        format!("{first}\n{second}\n{third}\n"),
    ] {
        check("--from kutt", &text, &rows, &["3 password"]);
    }
}

#[test]
fn dub_and_bitly_exports_keep_what_every_client_sees() {
    let dub = "Short link,Destination URL,Clicks,Created at,iOS,Password,Expired URL\n\
        https://dub.example/A,https://a.example/,1,2026-01-01,,,\n\
        dub.example/a,https://other.example/,1,2026-01-01,,,\n\
        dub.example/i,https://i.example/,1,2026-01-01,https://apps.apple.com/x,,\n\
        dub.example/p,https://p.example/,1,2026-01-01,,secret,\n\
        dub.example/e,https://e.example/,1,2026-01-01,,,https://gone.example/\n\
        https://dub.example,https://root.example/,1,2026-01-01,,,\n";
    let bench = check(
        "--from dub",
        dub,
        &["dub.example,A,https://a.example/,,,,,,,", "dub.example,e,https://e.example/,,,,,,,"],
        &["3 duplicate", "4 condition", "5 password", "6 expired-destination"],
    );
    let domains = String::from_utf8(bench.read("domains.toml")).unwrap();
    assert!(
        domains.contains("case = \"insensitive\"") && domains.contains("https://root.example/"),
        "{domains}"
    );
    let bitly = "Bitlink\tLong URL\tTitle\nbit.example/3x\thttps://a.example/\tA\n";
    check("--from bitly", bitly, &["bit.example,3x,https://a.example/,,,,,,,"], &[]);
}

#[test]
fn cloudflare_lists_are_read_with_and_without_a_header() {
    let rows = "go.example/a,https://a.example/,301,TRUE,FALSE,FALSE,FALSE\n\
        go.example/b/c,https://b.example/,302,,true,,\n\
        https://go.example/s,https://s.example/\n\
        go.example/d,https://d.example/,302,TRUE,FALSE,TRUE,TRUE\n\
        go.example/e,https://e.example/,302,maybe\n\
        go.example/f,https://f.example/,410\n\
        go.example/g\n";
    let expected = [
        "go.example,a,https://a.example/,301,,,append,,,",
        "*.go.example,b/c,https://b.example/,302,,,drop,,,",
        "go.example,b/c,https://b.example/,302,,,drop,,,",
        "go.example,s,https://s.example/,,,,drop,,,",
    ];
    let losses = |first: u64| {
        let kinds = ["scheme", "pattern", "malformed", "refused", "malformed"];
        (first..).zip(kinds).map(|(line, kind)| format!("{line} {kind}")).collect::<Vec<_>>()
    };
    let borrowed =
        |losses: &[String]| losses.iter().map(|loss| loss.clone().leak() as &str).collect::<Vec<_>>();
    check("--from cloudflare", rows, &expected, &borrowed(&losses(3)));
    let header = "Source URL,target_url,status_code,preserve_query_string,include_subdomains,subpath_matching,preserve_path_suffix\n";
    check("--from cloudflare", &format!("{header}{rows}"), &expected, &borrowed(&losses(4)));
}

#[test]
fn netlify_rules_that_are_one_path_become_links() {
    let rules = "# comment\n\
        /home          https://www.example.com/        # trailing\n\
        /blog/old      /blog/new   301!\n\
        http://blog.example/x   https://www.example.com/x  302\n\
        /news/*        /blog/:splat\n\
        /store id=:id  https://shop.example/:id 301\n\
        /api/x         https://api.example/ 200\n\
        /fr            https://fr.example/ 302 Country=fr,be Language=fr\n\
        /nowhere\n\
        /*             https://www.example.com/lost 302\n";
    let bench = check(
        "--from netlify --domain go.example --base https://www.example.com",
        rules,
        &[
            "go.example,home,https://www.example.com/,,,,,,,",
            "go.example,blog/old,https://www.example.com/blog/new,301,,,,,,",
            "blog.example,x,https://www.example.com/x,302,,,,,,",
        ],
        &["5 pattern", "6 pattern", "7 no-redirect", "8 condition", "9 malformed"],
    );
    let domains = String::from_utf8(bench.read("domains.toml")).unwrap();
    assert!(domains.contains("not_found = \"https://www.example.com/lost\""), "{domains}");
    check("--from netlify --domain go.example", "/a /b\n", &[], &["1 relative"]);
}

#[test]
fn nginx_maps_are_read_from_a_configuration_and_from_an_included_file() {
    let configuration = r#"http {
  server_name not.a.map;
  map $request_uri $to {
    volatile;
    default        https://www.example.com/;
    /a             https://a.example/;     # comment
    "/b c"         "https://b.example/;x";
    ~^/c/(.*)$     https://c.example/$1;
    go.example/d   https://d.example/$args;
    /e             "";
    include        more.map;
  }
}
"#;
    let bench = check(
        "--from nginx --domain go.example --status 301",
        configuration,
        &["go.example,a,https://a.example/,,,,,,,", "go.example,b c,https://b.example/;x,,,,,,,"],
        &["8 pattern", "9 pattern", "11 no-redirect"],
    );
    let domains = String::from_utf8(bench.read("domains.toml")).unwrap();
    assert!(domains.contains("not_found = \"https://www.example.com/\""), "{domains}");
    assert!(domains.contains("status = 301") && domains.contains("case = \"insensitive\""), "{domains}");
    check(
        "--from nginx --domain go.example",
        "/a https://a.example/;\n/A https://b.example/;\n/c https://c.example/",
        &["go.example,a,https://a.example/,,,,,,,"],
        &["2 duplicate", "3 malformed"],
    );
}

#[test]
fn haproxy_and_apache_maps_are_read_line_by_line() {
    check(
        "--from haproxy --domain go.example",
        "# comment\n/a   https://a.example/\n  go.example/b\thttps://b.example/x\n^/c/.* https://c.example/\n/d\n/e https://e.example/x y\n\n",
        &["go.example,a,https://a.example/,,,,,,,", "go.example,b,https://b.example/x,,,,,,,"],
        &["4 pattern", "5 malformed", "6 refused"],
    );
    check(
        "--from apache --domain go.example",
        "#comment\na https://a.example/\n/b  https://b.example/ # why\nc https://c.example/|https://d.example/\nd x y\n",
        &["go.example,a,https://a.example/,,,,,,,", "go.example,b,https://b.example/,,,,,,,"],
        &["4 condition", "5 malformed"],
    );
}

#[test]
fn any_table_is_read_once_its_columns_are_named() {
    let table = "Slug|Ziel|Host\na|https://a.example/|go.example\nb|https://b.example/\n";
    check(
        "--from csv --map code=Slug --map destination=Ziel --map domain=Host",
        table,
        &["go.example,a,https://a.example/,,,,,,,"],
        &["3 malformed"],
    );
    let bench = Bench::new();
    bench.write("input", table);
    let said = bench.run("import --from csv --map code=Slug --map destination=Target input").exits(1);
    said.complains("no column is called 'Target'; there are: Slug, Ziel, Host");
    bench.run("import --from csv --map cod=Slug input").exits(2).complains("unknown column 'cod'");
    bench.run("import --from csv input").exits(1).complains("say what the columns mean");
}

#[test]
fn strict_writes_nothing_where_anything_is_lost_and_a_root_needs_the_domain_file() {
    let bench = Bench::new();
    bench.write("input", "/ https://root.example/\n/a https://a.example/\n");
    let said = bench.run("import --from haproxy --domain go.example --strict -o links.csv input").exits(1);
    said.complains("ask for it with --domains").complains("nothing written because of --strict");
    assert_eq!(bench.files(), ["input"]);
    let strict =
        "import --from haproxy --domain go.example --strict --domains d.toml -o links.csv --json input";
    let said = bench.run(strict).exits(0);
    let summary: serde_json::Value = serde_json::from_str(said.stderr.trim()).unwrap();
    assert_eq!((&summary["links"], &summary["lost_links"]), (&1.into(), &0.into()));
    let rows = String::from_utf8(bench.read("links.csv")).unwrap();
    assert!(rows.ends_with("go.example,a,https://a.example/,,,,,,,\n"), "{rows}");
    assert!(String::from_utf8(bench.read("d.toml")).unwrap().contains("root = \"https://root.example/\""));
}

#[test]
fn what_was_imported_builds_and_its_export_builds_the_same_content_again() {
    let bench = Bench::new();
    bench.write(
        "input",
        "Short link,Destination URL\ndub.example/Ab,https://a.example/\ngo.example/é,https://b.example/\n",
    );
    bench.run("import --from dub --domains domains.toml -o links.csv input").exits(0);
    bench.run("build --domains domains.toml --output one.snapshot links.csv").exits(0);
    let exported = bench.run("export --domains again.toml one.snapshot").exits(0);
    bench.write("again.csv", exported.stdout);
    bench.run("build --domains again.toml --output two.snapshot again.csv").exits(0);
    bench.run("diff one.snapshot two.snapshot").exits(0);
}
