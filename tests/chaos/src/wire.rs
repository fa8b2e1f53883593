//! What of an event stream has gone by on a connection: HTTP/1.1 answers, as far as this takes.
//!
//! The proxy says with it which events have really arrived, whatever the platform believes.

use serde_json::Value;

/// Reads the answers on one connection, in the pieces in which they are passed on.
#[derive(Debug, Default)]
pub struct Answers {
    state: State,
    line: Vec<u8>,
    is_stream: bool,
    chunked: bool,
    length: u64,
    frame: Vec<u8>,
    arrived: Vec<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailer,
    Body(u64),
}

impl Answers {
    /// The requests whose events have gone by whole, in order.
    pub fn arrived(&self) -> &[String] {
        &self.arrived
    }

    /// Reads on.
    pub fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            match self.state {
                State::Chunk(left) => {
                    self.body(byte);
                    self.state = if left > 1 { State::Chunk(left - 1) } else { State::ChunkEnd };
                }
                State::Body(left) => {
                    self.body(byte);
                    self.state = if left > 1 { State::Body(left - 1) } else { State::Head };
                }
                _ => {
                    self.line.push(byte);
                    if byte == b'\n' {
                        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).trim().to_owned();
                        self.line_ended(&line);
                    }
                }
            }
        }
    }

    fn line_ended(&mut self, line: &str) {
        match self.state {
            State::Head => self.head(line),
            State::ChunkSize => {
                let size = line.split(';').next().unwrap_or_default().trim();
                self.state = match u64::from_str_radix(size, 16) {
                    Ok(0) | Err(_) => State::Trailer,
                    Ok(size) => State::Chunk(size),
                };
            }
            State::ChunkEnd => self.state = State::ChunkSize,
            State::Trailer if line.is_empty() => self.state = State::Head,
            State::Trailer | State::Chunk(_) | State::Body(_) => {}
        }
    }

    fn head(&mut self, line: &str) {
        let lower = line.to_ascii_lowercase();
        if lower.starts_with("http/") {
            (self.is_stream, self.chunked, self.length) = (false, false, 0);
            self.frame.clear();
        } else if let Some((name, value)) = lower.split_once(':') {
            match name {
                "content-type" => self.is_stream = value.trim().starts_with("text/event-stream"),
                "transfer-encoding" => self.chunked = value.contains("chunked"),
                "content-length" => self.length = value.trim().parse().unwrap_or(0),
                _ => {}
            }
        } else if line.is_empty() {
            self.state = match (self.chunked, self.length) {
                (true, _) => State::ChunkSize,
                (false, 0) => State::Head,
                (false, length) => State::Body(length),
            };
        }
    }

    fn body(&mut self, byte: u8) {
        if !self.is_stream {
            return;
        }
        self.frame.push(byte);
        if self.frame.ends_with(b"\n\n") {
            let frame = std::mem::take(&mut self.frame);
            self.arrived.extend(request_of(&String::from_utf8_lossy(&frame)));
        }
    }
}

/// The login request that a frame tells the end of.
fn request_of(frame: &str) -> Option<String> {
    let data: Value = serde_json::from_str(frame.trim().strip_prefix("data: ")?).ok()?;
    let kind = data.get("type")?.as_str()?;
    matches!(kind, "approved" | "expired")
        .then(|| data.get("login_request_id")?.as_str().map(str::to_owned))?
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello\
        HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n\
        1a\r\ndata: {\"type\":\"keepalive\"}\r\n2\r\n\n\n\r\n\
        2c\r\ndata: {\"type\":\"expired\",\"login_request_id\":\"\r\n7\r\nlr_1\"}\n\r\n1\r\n\n\r\n\
        2c\r\ndata: {\"type\":\"expired\",\"login_request_id\":\"\r\n7\r\nlr_2\"}\n\r\n";

    #[test]
    fn an_event_has_arrived_when_its_whole_frame_has() {
        for piece in [1, 2, 7, STREAM.len()] {
            let mut answers = Answers::default();
            STREAM.chunks(piece).for_each(|bytes| answers.feed(bytes));
            assert_eq!(answers.arrived(), ["lr_1"], "in pieces of {piece}");
        }
    }
}
