//! What an image and a template have to be. Pure: every wrong field is named, at once.

use std::collections::{BTreeMap, BTreeSet};

use onrush_api::images::{Image, ImageDraft, ImageRole, ImageSpec};
use onrush_api::problem::{FieldError, Kind, Problem};
use onrush_api::templates::{Companion, Parameter, TemplateDraft};

use super::parts::program;

const NAME_LEN_MAX: usize = 60;
const ALIAS_LEN_MAX: usize = 40;
const PORT_NAME_LEN_MAX: usize = 15;
const REFERENCE_LEN_MAX: usize = 255;
const TITLE_LEN_MAX: usize = 100;
const ABOUT_LEN_MAX: usize = 500;
const VALUE_LEN_MAX: usize = 2_000;
const PATH_LEN_MAX: usize = 200;
const PORTS_MAX: usize = 10;
const CONNECTIONS_MAX: usize = 10;
const VARIABLES_MAX: usize = 50;
const COMPANIONS_MAX: usize = 8;
const PARAMETERS_MAX: usize = 20;
/// What is on every engine's name.
const ENGINE: &str = "engine";
/// What a platform tells its engines itself.
const TOLD: [&str; 10] = [
    "ONRUSH_WIRE_CERT_FILE",
    "ONRUSH_WIRE_CERT_KEY_FILE",
    "ONRUSH_WIRE_CA_FILE",
    "ONRUSH_DATA",
    "ONRUSH_ENGINE_LISTEN",
    "ONRUSH_OPS_LISTEN",
    "ONRUSH_ENGINE_KEY_FILE",
    "ONRUSH_LOG_FORMAT",
    "ONRUSH_MAILBOX_CAPACITY",
    "ONRUSH_SNAPSHOT_EVERY_EVENTS",
];

/// What an engine of a seller's, and the companions of one show of a seller's own template together, may take.
pub(crate) const SELLER_CPU_MILLIS_MAX: u64 = 4_000;
pub(crate) const SELLER_MEMORY_MIB_MAX: u64 = 8_192;

/// What is wrong with a body.
#[derive(Default)]
struct Wrong(Vec<FieldError>);

impl Wrong {
    fn unless(&mut self, is_right: bool, pointer: impl Into<String>, detail: impl Into<String>) {
        if !is_right {
            self.0.push(FieldError { pointer: pointer.into(), detail: detail.into() });
        }
    }

    fn text(&mut self, text: &str, pointer: &str, most: usize) {
        let length = text.trim().chars().count();
        self.unless((1..=most).contains(&length), pointer, format!("has 1 to {most} characters"));
    }

    fn word(&mut self, word: &str, pointer: impl Into<String>, most: usize) {
        let detail =
            format!("has 1 to {most} small letters, digits and -, begins with a letter, and ends with none of -");
        self.unless(is_word(word, most), pointer, detail);
    }

    fn number(&mut self, number: u64, pointer: impl Into<String>, least: u64, most: u64) {
        self.unless((least..=most).contains(&number), pointer, format!("is {least} to {most}"));
    }

    fn found(self) -> Result<(), Problem> {
        if self.0.is_empty() { Ok(()) } else { Err(Problem::new(Kind::InvalidBody).errors(self.0)) }
    }
}

/// A name that everything may have: a label of DNS (RFC 1035).
fn is_word(word: &str, most: usize) -> bool {
    let has_right_letters = word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let begins = word.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    word.len() <= most && has_right_letters && begins && !word.ends_with('-')
}

fn is_visible(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The name of a file, and nothing that leads to another directory.
fn is_file_name(name: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    name.bytes().all(letters) && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
}

fn is_variable(name: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(letters) && name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit())
}

/// Whether an image can be had.
///
/// # Errors
/// `invalid-body`.
pub(super) fn image(draft: &ImageDraft) -> Result<(), Problem> {
    let mut wrong = Wrong::default();
    wrong.text(&draft.name, "/name", NAME_LEN_MAX);
    wrong.text(&draft.version, "/version", NAME_LEN_MAX);
    wrong.word(&draft.alias, "/alias", ALIAS_LEN_MAX);
    wrong.unless(draft.alias != ENGINE, "/alias", "is what the engines of every show are called");
    let ImageDraft { reference, spec, .. } = draft;
    let fits = reference.len() <= REFERENCE_LEN_MAX && program(reference).map_or(is_visible(reference), is_file_name);
    wrong.unless(
        fits,
        "/reference",
        "is an image of a registry, or program:NAME with the name of a file in `programs`",
    );
    match spec.role {
        ImageRole::Engine => engine(spec, &mut wrong),
        ImageRole::Companion => {
            let is_image = program(reference).is_none();
            wrong.unless(
                is_image,
                "/reference",
                "is a program: only engines can be programs, companions need a cluster",
            );
            companion_image(&draft.alias, spec, &mut wrong);
        }
    }
    wrong.unless(spec.env.len() <= VARIABLES_MAX, "/spec/env", format!("has {VARIABLES_MAX} variables at most"));
    for (name, value) in &spec.env {
        let pointer = format!("/spec/env/{}", onrush_api::body::escape(name));
        wrong.unless(is_variable(name), pointer.clone(), "is no name of a variable");
        wrong.unless(value.len() <= VALUE_LEN_MAX, pointer, format!("has {VALUE_LEN_MAX} bytes at most"));
    }
    wrong.found()
}

/// What is run in the place of this release's engine: the platform knows where it listens, and how it is.
fn engine(spec: &ImageSpec, wrong: &mut Wrong) {
    let known = "is known of an engine; leave it out";
    wrong.unless(spec.ports.is_empty(), "/spec/ports", known);
    wrong.unless(spec.health.is_none(), "/spec/health", known);
    wrong.unless(spec.connects_to.is_empty(), "/spec/connects_to", "is not for an engine, which speaks to nobody");
    for name in spec.env.keys() {
        let pointer = format!("/spec/env/{}", onrush_api::body::escape(name));
        wrong.unless(
            name.starts_with("ONRUSH_"),
            pointer.clone(),
            "is no setting of an engine: these begin with ONRUSH_",
        );
        wrong.unless(!TOLD.contains(&name.as_str()), pointer, "is what the platform tells its engines itself");
    }
}

fn companion_image(alias: &str, spec: &ImageSpec, wrong: &mut Wrong) {
    for name in spec.env.keys().filter(|name| name.starts_with("ONRUSH_")) {
        let pointer = format!("/spec/env/{}", onrush_api::body::escape(name));
        wrong.unless(false, pointer, "begins as what the platform tells companions itself");
    }
    wrong.unless(spec.ports.len() <= PORTS_MAX, "/spec/ports", format!("has {PORTS_MAX} ports at most"));
    let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for (at, port) in spec.ports.iter().enumerate() {
        wrong.word(&port.name, format!("/spec/ports/{at}/name"), PORT_NAME_LEN_MAX);
        wrong.unless(!port.name.contains("--"), format!("/spec/ports/{at}/name"), "has two - side by side");
        wrong.number(port.port.into(), format!("/spec/ports/{at}/port"), 1_024, 65_535);
        let is_new = names.insert(&port.name) && numbers.insert(port.port);
        wrong.unless(is_new, format!("/spec/ports/{at}"), "has a name or a number that another port has");
    }
    let connections = format!("has {CONNECTIONS_MAX} at most");
    wrong.unless(spec.connects_to.len() <= CONNECTIONS_MAX, "/spec/connects_to", connections);
    for (at, other) in spec.connects_to.iter().enumerate() {
        wrong.word(other, format!("/spec/connects_to/{at}"), ALIAS_LEN_MAX);
        wrong.unless(other != alias, format!("/spec/connects_to/{at}"), "is itself");
    }
    if let Some(health) = &spec.health {
        let is_path = health.path.starts_with('/') && is_visible(&health.path) && health.path.len() <= PATH_LEN_MAX;
        wrong.unless(is_path, "/spec/health/path", "is a path, as /healthz is");
        wrong.unless(names.contains(&health.port), "/spec/health/port", "is none of its ports");
    }
}

/// Whether a template can be had, with the images that there are; a seller's own takes less than one of the platform's may.
///
/// # Errors
/// `invalid-body`.
pub(super) fn template(
    draft: &TemplateDraft,
    images: &BTreeMap<String, Image>,
    is_platforms: bool,
) -> Result<(), Problem> {
    let mut wrong = Wrong::default();
    wrong.text(&draft.title, "/title", TITLE_LEN_MAX);
    wrong.text(&draft.about, "/about", ABOUT_LEN_MAX);
    if let Some(engine) = &draft.engine {
        let is_one = images.get(engine).is_some_and(|image| image.spec.role == ImageRole::Engine);
        wrong.unless(is_one, "/engine", "is no image of an engine");
    }
    companions(&draft.companions, images, &mut wrong);
    parameters(&draft.parameters, is_platforms, &mut wrong);
    if !is_platforms {
        let sum = |of: fn(&Companion) -> u32| {
            let each =
                draft.companions.iter().map(|companion| u64::from(of(companion)) * u64::from(companion.replicas));
            each.sum::<u64>()
        };
        let fits =
            sum(|one| one.cpu_millis) <= SELLER_CPU_MILLIS_MAX && sum(|one| one.memory_mib) <= SELLER_MEMORY_MIB_MAX;
        let detail = format!(
            "take more than {SELLER_CPU_MILLIS_MAX} thousandths of a core and {SELLER_MEMORY_MIB_MAX} MiB together; an admin's \
             template may"
        );
        wrong.unless(fits, "/companions", detail);
    }
    wrong.found()
}

fn companions(companions: &[Companion], images: &BTreeMap<String, Image>, wrong: &mut Wrong) {
    wrong.unless(companions.len() <= COMPANIONS_MAX, "/companions", format!("are {COMPANIONS_MAX} at most"));
    let image = |companion: &Companion| images.get(&companion.image);
    let known: BTreeSet<_> =
        companions.iter().filter_map(image).map(|image| image.alias.as_str()).chain([ENGINE]).collect();
    let mut names = BTreeSet::from([ENGINE]);
    for (at, companion) in companions.iter().enumerate() {
        let of = |field: &str| format!("/companions/{at}/{field}");
        wrong.word(&companion.name, of("name"), ALIAS_LEN_MAX);
        let is_new = names.insert(&companion.name);
        wrong.unless(is_new, of("name"), "is what engines, or another companion, are called");
        wrong.number(companion.replicas.into(), of("replicas"), 1, 8);
        wrong.number(companion.cpu_millis.into(), of("cpu_millis"), 10, 8_000);
        wrong.number(companion.memory_mib.into(), of("memory_mib"), 16, 16_384);
        let image = image(companion).filter(|image| image.spec.role == ImageRole::Companion);
        wrong.unless(image.is_some(), of("image"), "is no image of a companion");
        let missing =
            image.into_iter().flat_map(|image| &image.spec.connects_to).find(|alias| !known.contains(alias.as_str()));
        if let Some(alias) = missing {
            wrong.unless(false, of("image"), format!("connects to {alias}, which is not among the companions"));
        }
    }
}

/// What the answers to some questions may be: they say how large something is.
fn bounds(name: &str, is_platforms: bool) -> (u64, u64) {
    match name {
        "seats" => (1, 200_000),
        "crowd" => (1, 1_000_000),
        "cpu_millis" => (50, if is_platforms { 64_000 } else { SELLER_CPU_MILLIS_MAX }),
        "memory_mib" => (256, if is_platforms { 262_144 } else { SELLER_MEMORY_MIB_MAX }),
        "storage_gib" => (1, if is_platforms { 10_000 } else { 100 }),
        _ => (1, 1_000_000_000),
    }
}

fn parameters(parameters: &[Parameter], is_platforms: bool, wrong: &mut Wrong) {
    wrong.unless(parameters.len() <= PARAMETERS_MAX, "/parameters", format!("are {PARAMETERS_MAX} at most"));
    let mut names = BTreeSet::new();
    for (at, parameter) in parameters.iter().enumerate() {
        let Parameter { name, about, default, min, max } = parameter;
        let of = |field: &str| format!("/parameters/{at}/{field}");
        let is_name =
            is_variable(name) && name.len() <= ALIAS_LEN_MAX && !name.bytes().any(|byte| byte.is_ascii_uppercase());
        wrong.unless(is_name, of("name"), format!("has 1 to {ALIAS_LEN_MAX} small letters, digits and _"));
        wrong.unless(names.insert(name), of("name"), "is asked already");
        wrong.text(about, &of("about"), ABOUT_LEN_MAX);
        let (least, most) = bounds(name, is_platforms);
        wrong.number(*max, of("max"), least, most);
        wrong.number(*min, of("min"), least, *max);
        wrong.number(*default, of("default"), *min, *max);
    }
}
