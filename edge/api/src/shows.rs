//! Shows: what is sold.

use onrush_engine::id::{AccountId, ShowId};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::text::{Text, Time};

/// The field a show belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words say it")]
pub enum Field {
    Concert,
    Musical,
    Theatre,
    Exhibition,
    Sports,
    Space,
}

/// What a seller sends to make a show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShowDraft {
    /// 1 to 200 characters.
    #[schema(example = "The Phantom of the Opera")]
    pub title: String,
    /// Concert, musical, …
    pub field: Field,
    /// Who is on stage; at most 100 names.
    #[serde(default)]
    pub cast: Vec<String>,
    /// Where it is shown; at most 200 characters.
    #[serde(default)]
    pub venue: String,
    /// At most 8,000 characters.
    #[serde(default)]
    pub description: String,
    /// An `https:` URL, at most 1,000 characters.
    #[serde(default)]
    pub poster_url: Option<String>,
}

/// A change of a show: what is left out stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShowPatch {
    /// A new title.
    pub title: Option<String>,
    /// A new field.
    pub field: Option<Field>,
    /// A new cast.
    pub cast: Option<Vec<String>>,
    /// A new venue.
    pub venue: Option<String>,
    /// A new description.
    pub description: Option<String>,
    /// A new poster; `null` takes the old one away.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub poster_url: Option<Option<String>>,
}

/// Tells `null` from a field that is left out.
fn given<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<String>>, D::Error> {
    Deserialize::deserialize(value).map(Some)
}

/// A show as everybody sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Show {
    /// `show_…`
    #[schema(value_type = String)]
    pub id: Text<ShowId>,
    /// The account that sells it.
    #[schema(value_type = String)]
    pub seller: Text<AccountId>,
    /// Its title.
    pub title: String,
    /// Concert, musical, …
    pub field: Field,
    /// Who is on stage.
    pub cast: Vec<String>,
    /// Where it is shown.
    pub venue: String,
    /// What it is about.
    pub description: String,
    /// Its poster.
    pub poster_url: Option<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Time,
    /// Its performances.
    #[schema(value_type = Vec<String>)]
    pub performances: Vec<Text<onrush_engine::id::PerformanceId>>,
    /// Whether one of them can be bought now.
    pub on_sale: bool,
    /// In the list of your own shows, of those that you were invited to: what you may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub your_role: Option<MemberRole>,
}

/// What a member may do for a show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemberRole {
    /// All that the seller may, but to say who may do what.
    Manage,
    /// Let people in.
    Door,
    /// See who booked, and how it sells.
    View,
}

/// Somebody who may do something for a show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// The account, which needs the seller's role.
    #[schema(value_type = String)]
    pub account: Text<AccountId>,
    /// What it may do.
    pub role: MemberRole,
}
