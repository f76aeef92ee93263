//! HTTP/1.0 and 1.1 without sockets: bytes in, bytes and deadlines out.
