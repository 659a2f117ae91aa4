//! The pages that explain the API: made once, when the edge starts.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;
use onrush_api::problem::Kind;
use serde_json::Value;

use crate::openapi::openapi;

/// All pages.
pub(crate) struct Pages {
    pub(crate) openapi: Bytes,
    pub(crate) docs: Bytes,
    problems: BTreeMap<&'static str, Bytes>,
}

impl Pages {
    pub(crate) fn new() -> Self {
        let document = openapi();
        let json = serde_json::to_value(&document).expect("the description is plain JSON");
        Self {
            openapi: json.to_string().into(),
            docs: page("The Onrush API", &docs(&json)),
            problems: Kind::ALL.iter().map(|kind| (kind.slug(), problem(*kind))).collect(),
        }
    }

    pub(crate) fn problem(&self, slug: &str) -> Option<Bytes> {
        self.problems.get(slug).cloned()
    }
}

fn problem(kind: Kind) -> Bytes {
    let mut body = String::new();
    write(&mut body, format_args!("<h1>{}</h1>", escape(kind.title())));
    write(&mut body, format_args!("<p><code>{}</code> · status {}</p>", kind.type_uri(), kind.status()));
    write(&mut body, format_args!("<p>{}</p><p><a href=\"/docs\">The API</a></p>", escape(kind.page())));
    page(kind.title(), &body)
}

/// A list of operations with their parameters, bodies and answers, then the types, then the problems.
fn docs(document: &Value) -> String {
    let mut html = String::from(
        "<h1>The Onrush API</h1><p>Machine-readable: <a href=\"/openapi.json\">openapi.json</a>. Send \
         <code>Authorization: Bearer &lt;token&gt;</code> where a token is asked for, and an \
         <code>Idempotency-Key</code> with every POST that you may have to repeat.</p>",
    );
    for (path, methods) in members(&document["paths"]) {
        for (method, operation) in members(methods) {
            html.push_str(&describe(path, method, operation));
        }
    }
    html.push_str("<h1>Types</h1>");
    for (name, schema) in members(&document["components"]["schemas"]) {
        let schema = serde_json::to_string_pretty(schema).unwrap_or_default();
        write(
            &mut html,
            format_args!("<details id=\"{name}\"><summary>{name}</summary><pre>{}</pre></details>", escape(&schema)),
        );
    }
    html.push_str("<h1>Problems</h1><ul>");
    for kind in Kind::ALL {
        let (uri, slug, status) = (kind.type_uri(), kind.slug(), kind.status());
        write(&mut html, format_args!("<li>{status} <a href=\"{uri}\">{slug}</a>: {}</li>", escape(kind.title())));
    }
    html + "</ul>"
}

fn describe(path: &str, method: &str, operation: &Value) -> String {
    let text = |value: &Value| escape(value.as_str().unwrap_or_default());
    let mut html = String::new();
    write(&mut html, format_args!("<section><h2><code>{} {}</code></h2>", method.to_uppercase(), escape(path)));
    let (summary, description) = (text(&operation["summary"]), text(&operation["description"]));
    write(&mut html, format_args!("<p><b>{summary}.</b> {description}"));
    if operation["security"].is_array() {
        html.push_str(" Needs a token.");
    }
    html.push_str("</p><ul>");
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let (place, name, what) = (text(&parameter["in"]), text(&parameter["name"]), text(&parameter["description"]));
        write(&mut html, format_args!("<li>{place} <code>{name}</code> {what}</li>"));
    }
    if let Some(name) = type_of(&operation["requestBody"]) {
        write(&mut html, format_args!("<li>body <a href=\"#{name}\">{name}</a></li>"));
    }
    for (status, response) in members(&operation["responses"]) {
        let what = text(&response["description"]);
        let name = type_of(response).map(|name| format!("<a href=\"#{name}\">{name}</a>")).unwrap_or_default();
        write(&mut html, format_args!("<li>{status} {what} {name}</li>"));
    }
    html + "</ul></section>"
}

fn type_of(content: &Value) -> Option<String> {
    let schema = &content["content"]["application/json"]["schema"];
    // What may be left out is said as one of two: nothing, or that.
    let either = schema["oneOf"].as_array().into_iter().flatten();
    let reference = std::iter::once(schema).chain(either).find_map(|schema| schema["$ref"].as_str())?;
    reference.rsplit('/').next().map(escape)
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn write(html: &mut String, text: std::fmt::Arguments<'_>) {
    html.write_fmt(text).expect("writing to memory does not fail");
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn page(title: &str, body: &str) -> Bytes {
    const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem;\
        color:#1b1f24;background:#fff}code,pre{font-family:ui-monospace,monospace;font-size:.9em}\
        pre{overflow:auto;background:#f3f4f6;padding:1rem}h2{margin-top:2rem}\
        @media(prefers-color-scheme:dark){body{color:#e6e8eb;background:#15181c}pre{background:#22262c}a{color:#8ab4f8}}";
    let title = escape(title);
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style><body>{body}</body></html>"
    )
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::TABLE;

    #[test]
    fn every_route_of_the_api_is_described() {
        let document = serde_json::to_value(openapi()).unwrap();
        let described: Vec<String> = members(&document["paths"])
            .flat_map(|(path, methods)| {
                let wild = path.split('/').map(|part| if part.starts_with('{') { "*" } else { part });
                let wild = wild.collect::<Vec<_>>().join("/");
                members(methods).map(move |(method, _)| format!("{} {wild}", method.to_uppercase()))
            })
            .collect();
        for (_, method, path) in TABLE {
            let known = ["/", "/openapi.json", "/docs", "/problems/*"].contains(path);
            assert!(known || described.contains(&format!("{method} {path}")), "{method} {path} is not described");
        }
    }

    #[test]
    fn every_problem_has_its_page() {
        let pages = Pages::new();
        assert!(Kind::ALL.iter().all(|kind| pages.problem(kind.slug()).is_some()));
        assert!(pages.problem("other").is_none());
    }
}
