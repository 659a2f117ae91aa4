//! Lists: `?limit=` and `?cursor=`, answered with items and the next cursor.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// What the page holds, in the list's order.
    pub items: Vec<T>,
    /// What to send as `?cursor=` for the next page; null on the last.
    pub next_cursor: Option<String>,
}

/// A list's place, opaque to clients: how many entries of the list's own order are behind it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursor(pub u64);

/// Which part of a list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageQuery {
    /// At most so many items: 1 to [`PageQuery::LIMIT_MAX`].
    pub limit: usize,
    /// From here on.
    pub cursor: Cursor,
}

/// What is wrong with `?limit=` or `?cursor=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PageError {
    /// The limit is no number from 1 to 200.
    #[error("limit must be a number from 1 to 200")]
    Limit,
    /// The cursor was not made by this API.
    #[error("cursor must be a next_cursor of an earlier page")]
    Cursor,
}

impl PageQuery {
    /// Items of a page where the client does not say.
    pub const LIMIT_DEFAULT: usize = 50;
    /// Most items of one page.
    pub const LIMIT_MAX: usize = 200;

    /// Reads the two query values.
    ///
    /// # Errors
    /// [`PageError`], where one of them is not well-formed.
    pub fn parse(limit: Option<&str>, cursor: Option<&str>) -> Result<Self, PageError> {
        let limit = limit.map_or(Some(Self::LIMIT_DEFAULT), number).ok_or(PageError::Limit)?;
        if !(1..=Self::LIMIT_MAX).contains(&limit) {
            return Err(PageError::Limit);
        }
        let cursor = cursor.map_or(Ok(Cursor::default()), str::parse)?;
        Ok(Self { limit, cursor })
    }
}

/// Digits and nothing else: `parse` would take a sign.
fn number(text: &str) -> Option<usize> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

impl FromStr for Cursor {
    type Err = PageError;
    fn from_str(text: &str) -> Result<Self, PageError> {
        let digits = text.strip_prefix("c").ok_or(PageError::Cursor)?;
        let cursor = u64::from_str_radix(digits, 16).map(Self).map_err(|_| PageError::Cursor)?;
        // Signs, capitals and zeros in front are read, too, but were never written.
        if cursor.to_string() == text { Ok(cursor) } else { Err(PageError::Cursor) }
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "c{:x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_cursors_are_checked() {
        assert_eq!(PageQuery::parse(None, None).unwrap().limit, 50);
        assert_eq!(PageQuery::parse(Some("0"), None), Err(PageError::Limit));
        assert_eq!(PageQuery::parse(Some("201"), None), Err(PageError::Limit));
        assert_eq!(PageQuery::parse(Some("-1"), None), Err(PageError::Limit));
        assert_eq!(PageQuery::parse(Some("+1"), None), Err(PageError::Limit));
        for cursor in ["12", "c+1", "cAB", "c01", "c"] {
            assert_eq!(PageQuery::parse(None, Some(cursor)), Err(PageError::Cursor));
        }
        let cursor = Cursor(260);
        assert_eq!(PageQuery::parse(None, Some(&cursor.to_string())).unwrap().cursor, cursor);
    }
}
