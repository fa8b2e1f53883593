//! Makes `include/lime.h` from the sources of `ffi-c`.
//!
//!     cargo run -p lime-header -- --write   # write it
//!     cargo run -p lime-header -- --check   # exit 1 if it is not what it should be
//!
//! It is no build script: a build never writes into the source tree.

mod docs;

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lime_core::ErrorKind;
use lime_core::sesame::webhook::{Refusal, SIGNATURE_HEADER, TIMESTAMP_HEADER};
use lime_core::token_verifier::token::Reason;

/// The files of the ABI, in the order of the header.
const SOURCES: &[&str] = &[
    "version",
    "error",
    "strings",
    "userdata",
    "operation",
    "log",
    "timestamp",
    "transport",
    "clock",
    "site_options",
    "site",
    "passport",
    "binding",
    "agent_options",
    "progress",
    "agent",
    "mcp_token",
    "mcp",
    "sesame_options",
    "approval_request",
    "approval",
    "sesame",
    "webhook",
    "pow",
    "sse",
    "frame",
    "envelope",
    "mcp_target",
    "token_verifier_options",
    "token_verifier",
];

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let target = root.join("include/lime.h");
    let header = header(&root)?;
    match std::env::args().nth(1).as_deref() {
        Some("--write") => {
            std::fs::write(&target, header)?;
            Ok(ExitCode::SUCCESS)
        }
        Some("--check") if std::fs::read_to_string(&target).is_ok_and(|there| there == header) => {
            Ok(ExitCode::SUCCESS)
        }
        Some("--check") => {
            eprintln!("include/lime.h is not what ffi-c says: run `cargo run -p lime-header -- --write`");
            Ok(ExitCode::FAILURE)
        }
        _ => Err("usage: lime-header --write | --check".into()),
    }
}

fn header(root: &Path) -> Result<String, Box<dyn Error>> {
    let crate_dir = root.join("ffi-c");
    let mut config = cbindgen::Config::from_file(crate_dir.join("cbindgen.toml"))?;
    config.header = Some(manual(&std::fs::read_to_string(crate_dir.join("manual.txt"))?)?);
    config.after_includes = Some(generated());
    let file = |name: &&str| -> PathBuf { crate_dir.join("src").join(name).with_extension("rs") };
    let builder = SOURCES.iter().map(file).fold(cbindgen::Builder::new(), cbindgen::Builder::with_src);
    let mut bytes = Vec::new();
    builder.with_config(config).generate()?.write(&mut bytes);
    let text = String::from_utf8(bytes)?;
    let text = text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n") + "\n";
    docs::rewrite(&text).map_err(|faults| format!("the documentation is not complete:\n{faults}").into())
}

/// The manual as one comment; the version in it is the library's.
fn manual(text: &str) -> Result<String, Box<dyn Error>> {
    if text.contains("*/") {
        return Err("manual.txt must not end the comment".into());
    }
    let mut comment = String::from("/*\n");
    for line in text.replace("@VERSION@", lime_core::VERSION).lines() {
        let line = format!(" * {line}");
        writeln!(comment, "{}", line.trim_end())?;
    }
    comment.push_str(" */");
    Ok(comment)
}

/// What comes from core's tables rather than from the sources: the version, the status numbers, the names
/// of the webhooks' headers and the reasons to refuse one, and a token.
fn generated() -> String {
    let mut numbers = lime_core::VERSION.split('.');
    let mut part = || numbers.next().unwrap_or("0").to_owned();
    let mut text = format!(
        "\n/** The version of the library that this header belongs to. */\n\
         #define LIME_VERSION \"{}\"\n\
         \n/** The first number of LIME_VERSION. */\n#define LIME_VERSION_MAJOR {}\n\
         \n/** The second number of LIME_VERSION. */\n#define LIME_VERSION_MINOR {}\n\
         \n/** The third number of LIME_VERSION. */\n#define LIME_VERSION_PATCH {}\n",
        lime_core::VERSION,
        part(),
        part(),
        part(),
    );
    text.push_str("\n/** The call did what it was asked to do. */\n#define LIME_OK 0\n");
    for kind in ErrorKind::ALL {
        let name = kind.name().to_uppercase();
        // Writing to a String cannot fail.
        let _ =
            write!(text, "\n/** {} */\n#define LIME_ERROR_{name} {}\n", kind.description(), kind.number());
    }
    let _ = write!(
        text,
        "\n/** The header of a webhook that has the signature. */\n\
         #define LIME_WEBHOOK_SIGNATURE_HEADER \"{SIGNATURE_HEADER}\"\n\
         \n/** The header of a webhook that has the time of sending. */\n\
         #define LIME_WEBHOOK_TIMESTAMP_HEADER \"{TIMESTAMP_HEADER}\"\n",
    );
    for refusal in Refusal::ALL {
        let name = refusal.name();
        let _ = write!(
            text,
            "\n/** The code of a LIME_ERROR_WEBHOOK; lime_webhook_verify() tells what it means. */\n\
             #define LIME_REFUSAL_{} \"{name}\"\n",
            name.to_uppercase()
        );
    }
    for reason in Reason::ALL {
        let (name, description) = (reason.name(), reason.description().replace('`', ""));
        let _ = write!(
            text,
            "\n/** The code of a LIME_ERROR_INVALID_TOKEN: {description} */\n\
             #define LIME_TOKEN_{} \"{name}\"\n",
            name.to_uppercase()
        );
    }
    text
}
