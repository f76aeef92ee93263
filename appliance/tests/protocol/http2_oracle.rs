//! The client of the `h2` crate and our connection understand each other: another encoder, another reading of the standard.

use carom::http::Ending;
use h2::client::SendRequest;
use http::{Method, Request, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::task::JoinHandle;

use super::http2_support::Talk;

type Bytes = std::io::Cursor<Vec<u8>>;

/// Plays the shell of one connection until it ends; returns what was noted, and how it ended.
async fn serve(mut stream: DuplexStream) -> (Vec<String>, Option<Ending>) {
    let mut talk = Talk::new(carom::limits::HttpLimits::default());
    let mut chunk = [0; 4_096];
    talk.say(b"");
    loop {
        let output = std::mem::take(&mut talk.output);
        if stream.write_all(&output).await.is_err() || talk.ending.is_some() {
            break;
        }
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => break,
            Ok(bytes) => talk.say(&chunk[..bytes]),
        }
    }
    (talk.notes.0, talk.ending)
}

type Server = JoinHandle<(Vec<String>, Option<Ending>)>;

async fn connect() -> (SendRequest<Bytes>, Server, JoinHandle<Result<(), h2::Error>>) {
    // Small, so that both sides are read in pieces.
    let (near, far) = tokio::io::duplex(1_000);
    let server = tokio::spawn(serve(far));
    let (client, connection) = h2::client::Builder::new().handshake(near).await.unwrap();
    (client, server, tokio::spawn(connection))
}

fn request(method: Method, path: &str) -> Request<()> {
    Request::builder()
        .method(method)
        .uri(format!("https://go.example{path}"))
        .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64) \u{7e}{|}<>\\^")
        .header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
        .header("cookie", format!("visit={}; theme=dark", path.len()))
        .body(())
        .unwrap()
}

async fn ask(
    client: &mut SendRequest<Bytes>,
    method: Method,
    path: &str,
    body: &[usize],
) -> (Response<()>, Vec<u8>) {
    let (response, mut sender) =
        client.clone().ready().await.unwrap().send_request(request(method, path), body.is_empty()).unwrap();
    for (place, &bytes) in body.iter().enumerate() {
        let is_last = place + 1 == body.len();
        sender.send_data(Bytes::new(vec![b'x'; bytes]), is_last).unwrap();
    }
    let (head, mut stream) = response.await.unwrap().into_parts();
    let mut content = Vec::new();
    while let Some(piece) = stream.data().await {
        let piece = piece.unwrap();
        content.extend_from_slice(&piece);
        stream.flow_control().release_capacity(piece.len()).unwrap();
    }
    (Response::from_parts(head, ()), content)
}

#[tokio::test]
async fn another_client_gets_redirects_words_and_long_destinations_in_one_connection() {
    let (mut client, server, connection) = connect().await;
    let mut expected = Vec::new();
    for round in 0..200 {
        let path = format!("/a{round}/~!$&'()*+,;=:@%C3%A9?q={round}");
        let (reply, content) = ask(&mut client, Method::GET, &path, &[]).await;
        assert_eq!(reply.status(), 302);
        let target = format!("https://target.example/?q={round}");
        assert_eq!(reply.headers()["location"], target);
        assert_eq!(reply.headers()["content-length"], "0");
        assert!(content.is_empty());
        expected.push(format!("GET {}", &path[1..]));
    }
    let (reply, content) = ask(&mut client, Method::GET, "/none", &[]).await;
    assert_eq!((reply.status().as_u16(), &content[..]), (404, &b"link not found\n"[..]));
    let (reply, content) = ask(&mut client, Method::HEAD, "/none", &[]).await;
    assert_eq!((reply.status().as_u16(), content.len()), (404, 0));
    let (reply, _) = ask(&mut client, Method::GET, "/long", &[]).await;
    assert_eq!(reply.headers()["location"].len(), 40_000);
    let (reply, _) = ask(&mut client, Method::POST, "/a", &[20_000, 0, 30_000]).await;
    assert_eq!(reply.status(), 302);
    expected.extend(["GET none", "HEAD none", "GET long", "POST a"].map(str::to_owned));
    drop(client);
    connection.await.unwrap().unwrap();
    let (notes, ending) = server.await.unwrap();
    assert_eq!(notes, expected);
    assert_eq!(ending, Some(Ending::Finished), "the client said that it goes");
}

#[tokio::test]
async fn a_hundred_requests_at_once_are_all_answered() {
    let (client, server, connection) = connect().await;
    let mut replies = Vec::new();
    for round in 0..300 {
        let mut client = client.clone();
        replies.push(tokio::spawn(async move {
            let body: &[usize] = if round % 3 == 0 { &[700] } else { &[] };
            let path = if round % 2 == 0 { "/a" } else { "/none" };
            let (reply, content) = ask(&mut client, Method::POST, path, body).await;
            (reply.status().as_u16(), content.len())
        }));
    }
    for (round, reply) in replies.into_iter().enumerate() {
        let expected = if round % 2 == 0 { (302, 0) } else { (404, 15) };
        assert_eq!(reply.await.unwrap(), expected);
    }
    drop(client);
    connection.await.unwrap().unwrap();
    assert_eq!(server.await.unwrap().0.len(), 300);
}
