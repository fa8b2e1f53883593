//! Turns the prose of the documentation comments into what Doxygen understands, and sees that it is complete.
//!
//! In the sources a function says "Parameters: `name`: text. `other`, `another`: text." and "Returns: text.";
//! in the header each of them is a line, `@param name  text` and `@return text`. A handle that a function is
//! about need not be described. Whatever else is not described is an error, and so is a description of what
//! is not there.

use std::fmt::Write as _;

/// The width of a line of the header.
const WIDTH: usize = 110;

/// The header with its comments rewritten; else all that is missing in them.
pub(crate) fn rewrite(header: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut faults = Vec::new();
    let mut rest = header;
    while let Some((before, comment, after)) = next_comment(rest) {
        let declaration = declaration(after);
        out.push_str(before);
        let rewritten = match Declaration::parse(declaration) {
            Some(Declaration::Function(function)) => function.document(comment, &mut faults),
            Some(Declaration::Callback(callback)) => callback.check(comment, &mut faults),
            None => comment.to_owned(),
        };
        out.push_str(&rewritten);
        rest = after;
    }
    out.push_str(rest);
    // Not in the manual: the programs in it are no declarations.
    let declarations = header.split_once("#define LIME_H\n").map_or("", |(_, after)| after);
    for undocumented in undocumented(declarations) {
        faults.push(format!("{undocumented} is not documented"));
    }
    if faults.is_empty() { Ok(out) } else { Err(faults.join("\n")) }
}

/// What is before the next comment of several lines, its lines, and what follows.
fn next_comment(text: &str) -> Option<(&str, &str, &str)> {
    let start = text.find("/**\n")? + "/**\n".len();
    let end = start + text[start..].find(" */\n")?;
    Some((&text[..start], &text[start..end], &text[end..]))
}

/// The declaration behind a comment.
fn declaration(after: &str) -> &str {
    let code = after.trim_start_matches(" */\n");
    match code.find([';', '#']) {
        Some(end) => &code[..end],
        None => "",
    }
}

/// Functions and callback types that have no comment before them.
fn undocumented(header: &str) -> impl Iterator<Item = &str> {
    header.split(";\n").filter_map(|piece| {
        let code = piece.rsplit("*/\n").next().unwrap_or(piece);
        let code = code.rsplit("\n\n").next().unwrap_or(code);
        let documented = piece.trim_end().strip_suffix(code.trim_end()).unwrap_or(piece).ends_with("*/\n");
        match Declaration::parse(code.trim()) {
            Some(Declaration::Function(found) | Declaration::Callback(found)) if !documented => {
                Some(found.name)
            }
            _ => None,
        }
    })
}

enum Declaration<'a> {
    Function(Signature<'a>),
    Callback(Signature<'a>),
}

struct Signature<'a> {
    name: &'a str,
    returns_something: bool,
    parameters: Vec<Parameter<'a>>,
}

struct Parameter<'a> {
    kind: String,
    name: &'a str,
}

impl<'a> Declaration<'a> {
    fn parse(code: &'a str) -> Option<Self> {
        if code.starts_with('#') || code.contains('{') {
            return None;
        }
        let (head, parameters) = code.trim().strip_suffix(')')?.rsplit_once('(')?;
        let head = head.trim_end_matches(')');
        let at = head.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_')? + 1;
        let name = &head[at..];
        let callback = head.starts_with("typedef ");
        let kind = head[..at].trim_start_matches("typedef ").trim_end_matches("(*").trim();
        if !name.starts_with("lime_") {
            return None;
        }
        let parameters = parameters.split(',').map(str::trim).filter(|text| !matches!(*text, "" | "void"));
        let signature = Signature {
            name,
            returns_something: kind != "void",
            parameters: parameters.filter_map(Parameter::parse).collect(),
        };
        Some(if callback { Self::Callback(signature) } else { Self::Function(signature) })
    }
}

impl<'a> Parameter<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let at = text.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_')? + 1;
        Some(Self { kind: text[..at].split_whitespace().collect::<Vec<_>>().join(" "), name: &text[at..] })
    }

    /// A handle that the function is about.
    fn is_handle(&self) -> bool {
        self.kind.contains("struct lime_") && self.kind.ends_with('*') && !self.kind.ends_with("**")
    }

    /// A place where the function writes.
    fn is_out(&self) -> bool {
        let constant = self.kind.starts_with("const ");
        (self.kind.ends_with("**") && !constant)
            || matches!(self.kind.as_str(), "char *" | "int32_t *" | "int64_t *" | "uint64_t *" | "size_t *")
    }

    /// What a handle is, where nothing more is to be said.
    fn handle(&self) -> String {
        let noun = match self.kind.rsplit("struct ").next().unwrap_or_default().trim_end_matches(" *") {
            "lime_site" | "lime_agent" | "lime_sesame" => "client".to_owned(),
            "lime_login_request_status" => "login request's status".to_owned(),
            _ => self.name.replace('_', " "),
        };
        format!("the {noun}")
    }
}

impl Signature<'_> {
    /// The lines of a function's comment as the header has them.
    fn document(&self, comment: &str, faults: &mut Vec<String>) -> String {
        let lines: Vec<&str> = comment.lines().map(|line| line.trim_start_matches(" *").trim()).collect();
        let mut out = String::new();
        let mut described: Vec<(String, String)> = Vec::new();
        let mut has_parameters = false;
        let mut has_return = false;
        let mut body: Vec<String> = Vec::new();
        let mut returns: Vec<String> = Vec::new();
        for paragraph in lines.split(|line| line.is_empty()).filter(|paragraph| !paragraph.is_empty()) {
            let text = paragraph.join(" ");
            if let Some(text) = text.strip_prefix("Parameters: ") {
                has_parameters = true;
                described = self.described(text, faults);
            } else if let Some(text) = text.strip_prefix("Returns: ") {
                has_return = true;
                returns.push(wrapped(&format!("@return {text}")));
            } else {
                let plain = paragraph.iter().fold(String::new(), |mut plain, line| {
                    // Writing to a String cannot fail.
                    let _ = writeln!(plain, " * {line}");
                    plain
                });
                if has_return { &mut returns } else { &mut body }.push(plain);
            }
        }
        for section in &body {
            out.push_str(section);
            out.push_str(" *\n");
        }
        let status = lines.iter().any(|line| line.starts_with("Returns: LIME_OK"));
        let about = self.parameters.first().filter(|first| {
            first.is_handle()
                && !described.iter().any(|(names, _)| names.split(',').any(|name| name == first.name))
        });
        if let Some(first) = about {
            let or_null = if status { "." } else { ", or NULL." };
            out.push_str(&wrapped(&format!("@param {}  {}{or_null}", first.name, first.handle())));
        }
        for (names, text) in &described {
            let out_only =
                names.split(',').all(|name| self.parameters.iter().any(|p| p.name == name && p.is_out()));
            let direction = if out_only && self.name != "lime_string_free" { "[out]" } else { "" };
            out.push_str(&wrapped(&format!("@param{direction} {names}  {text}")));
        }
        if (about.is_some() || has_parameters) && !returns.is_empty() {
            out.push_str(" *\n");
        }
        out.push_str(&returns.join(" *\n"));
        if returns.is_empty() && about.is_none() && !has_parameters {
            out.truncate(out.len() - " *\n".len());
        }
        for parameter in &self.parameters {
            let counted =
                described.iter().filter(|(names, _)| names.split(',').any(|name| name == parameter.name));
            let counted =
                counted.count() + usize::from(about.is_some_and(|first| first.name == parameter.name));
            if counted != 1 {
                faults.push(format!("{}: `{}` is described {counted} times", self.name, parameter.name));
            }
        }
        if has_return != self.returns_something {
            let fault = if has_return { "says what nothing returns" } else { "does not say what it returns" };
            faults.push(format!("{} {fault}", self.name));
        }
        out
    }

    /// The parameters that "`a`: text. `b`, `c`: text." describes.
    fn described(&self, text: &str, faults: &mut Vec<String>) -> Vec<(String, String)> {
        let mut found: Vec<(String, String)> = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let Some((names, after)) = self.names(rest) else {
                faults.push(format!("{}: not a description of a parameter: {rest}", self.name));
                break;
            };
            let end = after
                .match_indices(" `")
                .map(|(at, _)| at)
                .find(|at| self.names(&after[at + 1..]).is_some())
                .unwrap_or(after.len());
            found.push((names, after[..end].trim().to_owned()));
            rest = after[end..].trim_start();
        }
        found
    }

    /// "`a`, `b`: " with names of parameters, and what follows.
    fn names<'t>(&self, text: &'t str) -> Option<(String, &'t str)> {
        let mut names = Vec::new();
        let mut rest = text;
        loop {
            let (name, after) = rest.strip_prefix('`')?.split_once('`')?;
            if !self.parameters.iter().any(|parameter| parameter.name == name) {
                return None;
            }
            names.push(name);
            if let Some(after) = after.strip_prefix(": ") {
                return Some((names.join(","), after));
            }
            rest = after.strip_prefix(", ")?;
        }
    }

    /// A callback's comment names all that it gets; it stays as it is.
    fn check(&self, comment: &str, faults: &mut Vec<String>) -> String {
        for parameter in &self.parameters {
            if parameter.name != "user_data" && !comment.contains(&format!("`{}`", parameter.name)) {
                faults.push(format!("{} does not say what `{}` is", self.name, parameter.name));
            }
        }
        comment.to_owned()
    }
}

/// A paragraph in lines of the header's width; those after the first are indented.
fn wrapped(text: &str) -> String {
    let mut out = String::new();
    let mut line = String::from(" *");
    for (number, word) in text.split(' ').enumerate() {
        if number > 0 && line.chars().count() + 1 + word.chars().count() > WIDTH {
            out.push_str(&line);
            out.push('\n');
            line = String::from(" *  ");
        }
        line.push(' ');
        line.push_str(word);
    }
    out + &line + "\n"
}

#[cfg(test)]
mod tests {
    use super::rewrite;

    fn header(comment: &str, declaration: &str) -> String {
        format!("#define LIME_H\n\n/**\n{comment} */\n{declaration};\n\n#endif\n")
    }

    const CALL: &str = "int32_t lime_site_call(const struct lime_site *site,\n                       \
                        const char *name,\n                       size_t length,\n                       \
                        struct lime_error **error)";

    #[test]
    fn sections_become_commands() {
        let prose = " * Calls. Blocks.\n *\n * Parameters: `name`, `length`: a text;\n * see `error`: below. \
                     `error`: NULL, or gets\n * the error.\n *\n * Returns: LIME_OK; or:\n *\n * - an error\n";
        let error = rewrite(&header(prose, CALL)).expect_err("two descriptions of one parameter");
        assert_eq!(error, "lime_site_call: `error` is described 2 times");
        let prose = prose.replace("see `error`: below", "see `error` below");
        let written = rewrite(&header(&prose, CALL)).expect("complete");
        let comment = " * Calls. Blocks.\n *\n * @param site  the client.\n * @param name,length  a text; see \
                       `error` below.\n * @param[out] error  NULL, or gets the error.\n *\n * @return LIME_OK; \
                       or:\n *\n * - an error\n";
        assert_eq!(written, header(comment, CALL));
    }

    #[test]
    fn what_is_missing_is_told() {
        let faults = |comment: &str, declaration: &str| {
            rewrite(&header(comment, declaration)).expect_err("something is missing")
        };
        assert_eq!(
            faults(" * Calls.\n *\n * Parameters: `name`: a text. `error`: the error.\n", CALL),
            "lime_site_call: `length` is described 0 times\nlime_site_call does not say what it returns"
        );
        assert_eq!(
            faults(" * Frees.\n *\n * Returns: nothing.\n", "void lime_site_free(struct lime_site *site)"),
            "lime_site_free says what nothing returns"
        );
        assert_eq!(
            faults(
                " * Frees.\n *\n * Parameters: `other`: no such thing.\n",
                "void lime_site_free(struct lime_site *site)"
            ),
            "lime_site_free: not a description of a parameter: `other`: no such thing."
        );
        assert_eq!(
            faults(" * Is told.\n", "typedef void (*lime_handler)(void *user_data, const char *id)"),
            "lime_handler does not say what `id` is"
        );
        assert_eq!(
            rewrite("#define LIME_H\n\nvoid lime_site_free(struct lime_site *site);\n")
                .expect_err("no comment"),
            "lime_site_free is not documented"
        );
    }

    #[test]
    fn a_void_function_and_a_handle_say_so() {
        let written = rewrite(&header(" * Frees.\n", "void lime_site_free(struct lime_site *site)"));
        let comment = " * Frees.\n *\n * @param site  the client, or NULL.\n";
        assert_eq!(
            written.expect("complete"),
            header(comment, "void lime_site_free(struct lime_site *site)")
        );
    }
}
