//! A refund that a human approves before it runs.
//!
//! Reads `SESAME_API_KEY` and `SESAME_BROKER_URL`; prints each step and its milliseconds. Arguments: the
//! action (default payments.refund), and a URL that the broker reports the decision to. Ends with 0 when
//! the refund ran and with 3 when it was denied.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use lime_core::{ApprovalRequest, Error, ErrorKind, Sesame, SesameConfig, WaitOptions};

fn main() -> Result<ExitCode, Error> {
    let mut arguments = std::env::args().skip(1);
    let mut last = Instant::now();
    let mut done = |name: &str| {
        println!("{name}\t{:.1}", last.elapsed().as_secs_f64() * 1000.0);
        last = Instant::now();
    };

    let action = arguments.next().unwrap_or_else(|| "payments.refund".into());
    let mut request = ApprovalRequest::new(action, "Refund $42.00 to customer")
        .reason("The customer was charged twice")
        .severity("high");
    request.callback_url = arguments.next();
    let options = WaitOptions { timeout: Duration::from_secs(60), ..WaitOptions::default() };

    let sesame = Sesame::new(SesameConfig::default())?;
    match sesame.require_approval(request, options).wait() {
        Ok(_) => {
            done("approval granted");
            // Here the money moves.
            done("operation run");
            Ok(ExitCode::SUCCESS)
        }
        Err(error) if error.kind() == ErrorKind::ApprovalDenied => {
            done("approval denied");
            Ok(ExitCode::from(3))
        }
        Err(error) => Err(error),
    }
}
