//! Says what is wrong with malformed JSON in the words of Go's decoder, which clients and tests match on.
//!
//! A scanner over the JSON grammar that only looks for the first error; it runs after parsing has failed.
//! Source of the texts: Go's `encoding/json` scanner (behaviour, not code).

/// None if the text is valid JSON.
pub(crate) fn first_error(text: &[u8]) -> Option<String> {
    let mut scanner = Scanner { text, at: 0 };
    scanner.value("looking for beginning of value").err().or_else(|| {
        scanner.space();
        scanner.peek().map(|byte| invalid(byte, "after top-level value"))
    })
}

struct Scanner<'t> {
    text: &'t [u8],
    at: usize,
}

type Scan = Result<(), String>;

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// The next byte that is not space, without taking it.
    fn need(&mut self) -> Result<u8, String> {
        self.space();
        self.peek().ok_or_else(end)
    }

    fn value(&mut self, context: &str) -> Scan {
        match self.need()? {
            b'{' => self.object(),
            b'[' => self.array(),
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            other => Err(invalid(other, context)),
        }
    }

    fn object(&mut self) -> Scan {
        self.at += 1;
        if self.need()? == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            match self.need()? {
                b'"' => self.string()?,
                other => return Err(invalid(other, "looking for beginning of object key string")),
            }
            match self.need()? {
                b':' => self.at += 1,
                other => return Err(invalid(other, "after object key")),
            }
            self.value("looking for beginning of value")?;
            match self.need()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(());
                }
                other => return Err(invalid(other, "after object key:value pair")),
            }
        }
    }

    fn array(&mut self) -> Scan {
        self.at += 1;
        if self.need()? == b']' {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value("looking for beginning of value")?;
            match self.need()? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Ok(());
                }
                other => return Err(invalid(other, "after array element")),
            }
        }
    }

    fn string(&mut self) -> Scan {
        self.at += 1;
        loop {
            let byte = self.take()?;
            match byte {
                b'"' => return Ok(()),
                b'\\' => self.escape()?,
                0..=0x1f => return Err(invalid(byte, "in string literal")),
                _ => {}
            }
        }
    }

    fn escape(&mut self) -> Scan {
        match self.take()? {
            b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => Ok(()),
            b'u' => (0..4).try_for_each(|_| match self.take()? {
                byte if byte.is_ascii_hexdigit() => Ok(()),
                other => Err(invalid(other, "in \\u hexadecimal character escape")),
            }),
            other => Err(invalid(other, "in string escape code")),
        }
    }

    fn number(&mut self) -> Scan {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.take()? {
            b'0' => {}
            b'1'..=b'9' => self.digits(),
            other => return Err(invalid(other, "in numeric literal")),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits("after decimal point in numeric literal")?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits("in exponent of numeric literal")?;
        }
        Ok(())
    }

    fn some_digits(&mut self, context: &str) -> Scan {
        match self.take()? {
            b'0'..=b'9' => {
                self.digits();
                Ok(())
            }
            other => Err(invalid(other, context)),
        }
    }

    fn digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    fn literal(&mut self, word: &str) -> Scan {
        for expected in word.bytes() {
            let byte = self.take()?;
            if byte != expected {
                return Err(invalid(byte, &format!("in literal {word} (expecting {})", quoted(expected))));
            }
        }
        Ok(())
    }

    fn take(&mut self) -> Result<u8, String> {
        let byte = self.peek().ok_or_else(end)?;
        self.at += 1;
        Ok(byte)
    }
}

fn end() -> String {
    "unexpected end of JSON input".to_owned()
}

fn invalid(byte: u8, context: &str) -> String {
    format!("invalid character {} {context}", quoted(byte))
}

fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        b'\n' => r"'\n'".to_owned(),
        b'\r' => r"'\r'".to_owned(),
        b'\t' => r"'\t'".to_owned(),
        0x20..=0x7e => format!("'{}'", byte as char),
        0x80.. => format!("'{}'", char::from(byte)),
        _ => format!(r"'\x{byte:02x}'"),
    }
}
