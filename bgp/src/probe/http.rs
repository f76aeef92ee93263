//! One HTTP/1.1 request with a deadline: small and strict, because the exact answer is what counts.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::limits::{FIELDS_MAX, HEAD_BYTES_MAX};

/// The head of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Every Location that it has: a right one has at most one.
    pub locations: Vec<Vec<u8>>,
    /// Content-Length, if there is one.
    pub length: Option<usize>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] std::io::Error),
    /// The other side closed it before the end of the head.
    #[error("closed before the answer was whole, after {0} bytes")]
    Closed(usize),
    /// It is no HTTP.
    #[error("the answer is no HTTP: {0}")]
    NoHttp(httparse::Error),
    /// It is too long.
    #[error("the head of the answer has more than {HEAD_BYTES_MAX} bytes")]
    TooLong,
}

/// Sends a request for one path.
///
/// # Errors
///
/// The connection broke.
pub async fn send(
    stream: &mut (impl AsyncWrite + Unpin),
    host: &str,
    path: &str,
    keep: bool,
) -> Result<(), NoAnswer> {
    let connection = if keep { "keep-alive" } else { "close" };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: carom-bgp\r\nConnection: {connection}\r\n\r\n"
    );
    Ok(stream.write_all(request.as_bytes()).await?)
}

/// Reads the head of an answer; bytes behind it stay in `buffer`.
///
/// # Errors
///
/// There is none that could be understood.
pub async fn receive(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
) -> Result<Answer, NoAnswer> {
    loop {
        if let Some((answer, length)) = parse(buffer)? {
            buffer.drain(..length);
            return Ok(answer);
        }
        if buffer.len() >= HEAD_BYTES_MAX {
            return Err(NoAnswer::TooLong);
        }
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes).await? {
            0 => return Err(NoAnswer::Closed(buffer.len())),
            length => buffer.extend_from_slice(&bytes[..length]),
        }
    }
}

/// The head at the beginning of `bytes` and its length; nothing while it is not whole.
pub fn parse(bytes: &[u8]) -> Result<Option<(Answer, usize)>, NoAnswer> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(head) = response.parse(bytes).map_err(NoAnswer::NoHttp)? else {
        return Ok(None);
    };
    let all = |name: &'static str| {
        response
            .headers
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value)
    };
    let length =
        all("content-length").next().and_then(|value| std::str::from_utf8(value).ok()?.trim().parse().ok());
    let locations = all("location").map(<[u8]>::to_vec).collect();
    Ok(Some((Answer { status: response.code.unwrap_or(0), locations, length }, head)))
}

/// How long something took, as people write it.
pub fn shown(span: Duration) -> String {
    format!("{:.1} ms", span.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_with_every_location_it_has() {
        let text = b"HTTP/1.1 302 Found\r\nLocation: https://a.example/\r\nlocation: https://b.example/\r\nContent-Length: 2\r\n\r\nok";
        let (answer, length) = parse(text).unwrap().unwrap();
        assert_eq!((answer.status, answer.length, length), (302, Some(2), text.len() - 2));
        assert_eq!(answer.locations, [b"https://a.example/".to_vec(), b"https://b.example/".to_vec()]);
    }

    #[test]
    fn part_of_an_answer_is_none_and_junk_an_error() {
        let text = b"HTTP/1.1 302 Found\r\nLocation: https://a.example/\r\n\r\n";
        for length in 0..text.len() {
            assert!(parse(&text[..length]).unwrap().is_none(), "{length}");
        }
        assert!(parse(b"SSH-2.0-OpenSSH\r\n").is_err());
    }

    #[tokio::test]
    async fn a_head_without_end_is_given_up() {
        let endless = [b"HTTP/1.1 200 OK\r\nA: ".as_slice(), &vec![b'a'; HEAD_BYTES_MAX]].concat();
        let error = receive(&mut endless.as_slice(), &mut Vec::new()).await.unwrap_err();
        assert!(matches!(error, NoAnswer::TooLong), "{error}");
        let error = receive(&mut b"HTTP/1.1 2".as_slice(), &mut Vec::new()).await.unwrap_err();
        assert!(matches!(error, NoAnswer::Closed(10)), "{error}");
    }
}
