//! Findings on standard output: lines for people, or a JSON object each for machines.

use std::fmt::Display;
use std::io::{self, BufWriter, StdoutLock, Write as _};

use serde::Serialize;

/// How findings look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Json,
}

/// See the module.
pub(super) struct Printer {
    form: Form,
    out: BufWriter<StdoutLock<'static>>,
}

impl Printer {
    pub(super) fn new(form: Form) -> Self {
        Self { form, out: BufWriter::new(io::stdout().lock()) }
    }

    /// Writes one finding.
    pub(super) fn print<T: Serialize + Display>(&mut self, finding: &T) -> io::Result<()> {
        match self.form {
            Form::Text => writeln!(self.out, "{finding}"),
            Form::Json => {
                serde_json::to_writer(&mut self.out, finding)?;
                writeln!(self.out)
            }
        }
    }

    /// Writes what is left. A reader that has seen enough, such as `head`, is no failure.
    pub(super) fn finish(mut self, printed: io::Result<()>) -> io::Result<()> {
        match printed.and_then(|()| self.out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            outcome => outcome,
        }
    }
}
