//! What a deployment runs beside what every deployment does.

use std::collections::BTreeMap;

use onrush_api::images::Image;
use onrush_api::problem::Problem;
use onrush_api::templates::{Companion, Template};
use serde::{Deserialize, Serialize};

/// What the reference of an image begins with that is a file in `programs`.
const PROGRAM: &str = "program:";

/// As template and images were when the deployment was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// The image of its engines; nothing for this release's.
    #[serde(default)]
    pub engine: Option<Image>,
    /// What runs beside them.
    #[serde(default)]
    pub companions: Vec<Beside>,
}

/// A companion with its image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beside {
    /// What the template says.
    pub companion: Companion,
    /// What it runs.
    pub image: Image,
}

impl Parts {
    /// What a template comes to, with the images that there are.
    ///
    /// # Errors
    /// `invalid-body`, where an image has gone.
    pub(crate) fn of(template: &Template, images: &BTreeMap<String, Image>) -> Result<Self, Problem> {
        let image = |id: &String| {
            let gone = || {
                Problem::field(
                    "/template",
                    format!("names the image {id}, which has gone; its owner has to name another"),
                )
            };
            images.get(id).cloned().ok_or_else(gone)
        };
        let beside =
            |companion: &Companion| Ok(Beside { companion: companion.clone(), image: image(&companion.image)? });
        Ok(Self {
            engine: template.engine.as_ref().map(image).transpose()?,
            companions: template.companions.iter().map(beside).collect::<Result<_, Problem>>()?,
        })
    }

    /// Whether an image is among them.
    pub(crate) fn have(&self, image: &str) -> bool {
        let companions = self.companions.iter().map(|beside| &beside.image);
        self.engine.iter().chain(companions).any(|known| known.id == image)
    }

    /// The file of its engines' program, in `programs`; nothing for this program.
    pub(crate) fn program(&self) -> Option<&str> {
        self.engine.as_ref().and_then(|image| program(&image.reference))
    }
}

/// The name of the file that a reference is of, if it is one.
pub(crate) fn program(reference: &str) -> Option<&str> {
    reference.strip_prefix(PROGRAM)
}
