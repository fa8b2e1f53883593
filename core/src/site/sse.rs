//! Bytes to server-sent events, as the WHATWG standard parses them. No I/O: any cut of the same bytes
//! into chunks gives the same events.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

/// The most that one line, and the data of one event, may have, in bytes.
pub const EVENT_LIMIT: usize = 1 << 20;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<'a> {
    /// The `event:` field, or `message`.
    pub event: &'a str,
    /// The `data:` lines, joined by line feeds.
    pub data: &'a str,
    /// The last `id:` seen on the stream so far.
    pub id: &'a str,
}

/// The stream holds a line or an event larger than may be ([`EVENT_LIMIT`]); it cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

/// The state between two chunks.
///
/// ```
/// use lime_core::site::sse::Parser;
///
/// let mut parser = Parser::new();
/// let mut data = Vec::new();
/// for chunk in ["data: he", "llo\n", "\n"] {
///     parser.feed(chunk.as_bytes(), |event| data.push(event.data.to_owned())).unwrap();
/// }
/// assert_eq!(data, ["hello"]);
/// ```
#[derive(Debug)]
pub struct Parser {
    /// The most that one line, and the data of one event, may have.
    limit: usize,
    /// The beginning of a line whose end has not arrived.
    line: Vec<u8>,
    /// The data of the event so far, each line with its line feed.
    data: String,
    event: String,
    id: String,
    /// The `id:` of the event so far; it counts once the event ends, even one without data.
    next_id: String,
    /// There is one. Comparing the two would do, but libc's `memcmp` of two empty strings, whose bytes are nowhere, takes
    /// as long as twice the rest of an event on processors with AVX-512: a masked load from no page is a fault that is
    /// suppressed.
    has_next_id: bool,
    retry: Option<u64>,
    comments: u64,
    /// The last chunk ended in CR: a LF at the start of the next belongs to it.
    after_cr: bool,
    /// The byte order mark can only come before anything else.
    started: bool,
}

impl Default for Parser {
    fn default() -> Self {
        Self::with_limit(EVENT_LIMIT)
    }
}

impl Parser {
    /// A parser at the start of a stream with events of another size than [`EVENT_LIMIT`].
    pub fn with_limit(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            data: String::new(),
            event: String::new(),
            id: String::new(),
            next_id: String::new(),
            has_next_id: false,
            retry: None,
            comments: 0,
            after_cr: false,
            started: false,
        }
    }

    /// A parser at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// A parser at the start of a stream that continues another one.
    pub fn resumed(last_event_id: impl Into<String>) -> Self {
        Self { id: last_event_id.into(), ..Self::default() }
    }

    /// The id to continue from, as `Last-Event-ID`; empty when there is none.
    pub fn last_event_id(&self) -> &str {
        &self.id
    }

    /// The last `retry:` of the stream, in milliseconds.
    pub fn retry_millis(&self) -> Option<u64> {
        self.retry
    }

    /// How many comments the stream had: lines that begin with a colon, which keep it alive.
    pub fn comments(&self) -> u64 {
        self.comments
    }

    /// Takes in a chunk and hands over each event that it completes.
    ///
    /// # Errors
    /// [`TooLong`]: the connection has to be given up. Events before that were handed over.
    pub fn feed(&mut self, mut chunk: &[u8], mut each: impl FnMut(Event<'_>)) -> Result<(), TooLong> {
        if self.after_cr && !chunk.is_empty() {
            self.after_cr = false;
            chunk = chunk.strip_prefix(b"\n").unwrap_or(chunk);
        }
        while let Some(end) = memchr2(b'\n', b'\r', chunk) {
            let (head, rest) = chunk.split_at(end);
            if self.line.len() + head.len() > self.limit {
                return Err(TooLong);
            }
            if self.line.is_empty() {
                if rest.starts_with(b"\n\n") && self.whole_event(head, &mut each)? {
                    chunk = &rest[2..];
                    continue;
                }
                self.end_of_line(head, &mut each)?;
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(head);
                self.end_of_line(&line, &mut each)?;
                line.clear();
                self.line = line; // its memory serves the next cut line
            }
            let ending = rest.first().copied();
            chunk = rest.get(1..).unwrap_or_default();
            if ending == Some(b'\r') {
                self.after_cr = chunk.is_empty();
                chunk = chunk.strip_prefix(b"\n").unwrap_or(chunk);
            }
        }
        if self.line.len() + chunk.len() > self.limit {
            return Err(TooLong);
        }
        self.line.extend_from_slice(chunk);
        Ok(())
    }

    /// Almost every event is one line of data and arrives whole: it is handed over from where it is. False when this
    /// line is something else, and nothing was done.
    fn whole_event(&mut self, line: &[u8], each: &mut impl FnMut(Event<'_>)) -> Result<bool, TooLong> {
        let plain = self.started && self.data.is_empty() && self.event.is_empty() && !self.has_next_id;
        let Some(value) = line.strip_prefix(b"data:").filter(|_| plain) else { return Ok(false) };
        let data = text(value.strip_prefix(b" ").unwrap_or(value));
        // Longer than the line where that is no UTF-8.
        if data.len() > self.limit {
            return Err(TooLong);
        }
        each(Event { event: "message", data: &data, id: &self.id });
        Ok(true)
    }

    fn end_of_line(&mut self, mut line: &[u8], each: &mut impl FnMut(Event<'_>)) -> Result<(), TooLong> {
        if !self.started {
            self.started = true;
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        if line.is_empty() {
            self.dispatch(each);
            return Ok(());
        }
        let (field, value) = match memchr(b':', line) {
            Some(colon) => {
                let value = &line[colon + 1..];
                (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &b""[..]),
        };
        match field {
            b"data" => {
                let value = text(value);
                if self.data.len() + value.len() > self.limit {
                    return Err(TooLong);
                }
                self.data.push_str(&value);
                self.data.push('\n');
            }
            b"event" => {
                self.event.clear();
                self.event.push_str(&text(value));
            }
            b"id" if memchr(0, value).is_none() => {
                self.next_id.clear();
                self.next_id.push_str(&text(value));
                self.has_next_id = true;
            }
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                // More digits than fit: as good as for ever, the caller has a cap.
                self.retry = Some(text(value).parse().unwrap_or(u64::MAX));
            }
            b"" => self.comments += 1,
            _ => {} // a field that nobody knows
        }
        Ok(())
    }

    fn dispatch(&mut self, each: &mut impl FnMut(Event<'_>)) {
        if std::mem::take(&mut self.has_next_id) {
            std::mem::swap(&mut self.id, &mut self.next_id);
        }
        if let Some(data) = self.data.strip_suffix('\n') {
            let event = if self.event.is_empty() { "message" } else { &self.event };
            each(Event { event, data, id: &self.id });
        }
        self.data.clear();
        self.event.clear();
    }
}

/// Lines are decoded whole, so a code point cut by a chunk is none the worse.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    // The lossy decoder looks at every byte by itself; almost always there is nothing to be lost.
    str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn events(chunks: &[&[u8]]) -> Vec<(String, String, String)> {
        let mut parser = Parser::new();
        let mut found = Vec::new();
        for chunk in chunks {
            parser
                .feed(chunk, |e| found.push((e.event.to_owned(), e.data.to_owned(), e.id.to_owned())))
                .unwrap();
        }
        found
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_events(
            text in "(data: ?|event:|id:|retry:|:|\u{feff}|[a-z\u{2028}🍋{}\" ]|\r\n|\n|\r){0,60}",
            cuts in proptest::collection::vec(0_usize..200, 0..12),
        ) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(events(&chunks), events(&[bytes]));
        }

        #[test]
        fn bytes_of_any_kind_do_not_panic(bytes: Vec<u8>) {
            events(&[&bytes]);
        }
    }

    #[test]
    fn comments_are_counted_and_nothing_else_is() {
        let mut parser = Parser::new();
        for chunk in [":\n", ": he", "re\r\n\r\n", "data: x\n\n", "id: 1\nunknown\n\n", "\n\n:\n:\n"] {
            parser.feed(chunk.as_bytes(), |_| ()).unwrap();
        }
        assert_eq!(parser.comments(), 4);
    }

    #[test]
    fn an_endless_line_is_given_up() {
        let mut parser = Parser::new();
        let chunk = vec![b'x'; 64 * 1024];
        let fed = (0..100).take_while(|_| parser.feed(&chunk, |_| ()).is_ok()).count();
        assert_eq!(fed, EVENT_LIMIT / chunk.len());
    }

    #[test]
    fn what_is_too_long_does_not_depend_on_the_cut() {
        // Of a byte that is no UTF-8 three are made: the data is longer than its line.
        let stream = b"\ndata: \xff\xff\xff\xff\n\n";
        for size in [1, 2, stream.len()] {
            let mut parser = Parser::with_limit(11);
            let mut events = 0;
            let fed = stream.chunks(size).try_for_each(|chunk| parser.feed(chunk, |_| events += 1));
            assert_eq!((fed, events), (Err(TooLong), 0), "in chunks of {size}");
        }
    }

    /// What comes of a stream in pieces of each size: how it ended, and the data of its events.
    fn limited(limit: usize, stream: &[u8]) -> (Result<(), TooLong>, Vec<String>) {
        let read = |size: usize| {
            let (mut parser, mut data) = (Parser::with_limit(limit), Vec::new());
            let mut chunks = stream.chunks(size);
            let fed =
                chunks.try_for_each(|chunk| parser.feed(chunk, |event| data.push(event.data.to_owned())));
            (fed, data)
        };
        let whole = read(stream.len());
        for size in 1..stream.len() {
            assert_eq!(read(size), whole, "in chunks of {size}");
        }
        whole
    }

    #[test]
    fn a_line_and_the_data_of_an_event_may_have_just_the_limit() {
        // The first line of a stream is not taken for a whole event.
        for start in ["", "\n"] {
            let line = format!("{start}data: 12345\n\n");
            assert_eq!(limited(11, line.as_bytes()), (Ok(()), vec!["12345".to_owned()]));
            assert_eq!(limited(10, line.as_bytes()), (Err(TooLong), vec![]));
        }
        let comment = b"\n:234567890\n\n";
        assert_eq!(limited(10, comment).0, Ok(()));
        assert_eq!(limited(9, comment).0, Err(TooLong));
        assert_eq!(limited(3, b"\n:12").0, Ok(()), "no end of a line");
        assert_eq!(limited(2, b"\n:12").0, Err(TooLong));
        // Four bytes and a line feed, then what the limit leaves of the twelve.
        let lines = |second: &str| format!("\ndata:1234\ndata:{second}\n\n");
        assert_eq!(limited(12, lines("6789012").as_bytes()), (Ok(()), vec!["1234\n6789012".to_owned()]));
        assert_eq!(limited(12, lines("67890123").as_bytes()), (Err(TooLong), vec![]));
        // Data of just the limit, whose line is shorter: it is no UTF-8.
        assert_eq!(limited(12, b"\ndata: \xff\xff\xff\xff\n\n"), (Ok(()), vec!["\u{fffd}".repeat(4)]));
        assert_eq!(limited(12, b"\ndata:1\ndata:\xff\xff\xff1\n\n").0, Ok(()));
        assert_eq!(limited(12, b"\ndata:1\ndata:\xff\xff\xff12\n\n").0, Err(TooLong));
    }

    #[test]
    fn a_stream_that_is_gone_on_with_keeps_its_id_until_there_is_another() {
        let mut parser = Parser::resumed("41");
        let mut ids = Vec::new();
        assert_eq!((parser.last_event_id(), parser.retry_millis()), ("41", None));
        for stream in ["data: 1\n\n", "id: 42\n", "data: 2\n\n", "id\nretry: 7\ndata: 3\n\n"] {
            parser.feed(stream.as_bytes(), |event| ids.push(event.id.to_owned())).unwrap();
        }
        assert_eq!(ids, ["41", "42", ""]);
        assert_eq!((parser.last_event_id(), parser.retry_millis()), ("", Some(7)));
    }

    #[test]
    fn an_endless_event_is_given_up() {
        let mut parser = Parser::new();
        let line = [b"data: ".as_slice(), &vec![b'x'; 64 * 1024], b"\n"].concat();
        let fed = (0..100).take_while(|_| parser.feed(&line, |_| ()).is_ok()).count();
        assert!(fed <= EVENT_LIMIT / (64 * 1024));
    }
}
