//! What a caller may do with what sellers and admins operate.

use onrush_api::problem::{Kind, Problem};
use onrush_api::token::{Caller, Role};

/// Whether somebody runs the platform. An admin's key that is good for selling only does not.
pub(crate) fn is_admin(caller: &Caller) -> bool {
    caller.role == Role::Admin && caller.scopes.cover(&[Role::Admin])
}

/// Whether somebody runs the platform.
///
/// # Errors
/// `forbidden`.
pub(crate) fn check_admin(caller: &Caller) -> Result<(), Problem> {
    if is_admin(caller) { Ok(()) } else { Err(Problem::new(Kind::Forbidden)) }
}

/// Whether somebody operates anything: their own shows, or the platform.
///
/// # Errors
/// `forbidden`.
pub(crate) fn check_operates(caller: &Caller) -> Result<(), Problem> {
    match caller.role {
        Role::Seller | Role::Admin => Ok(()),
        Role::Buyer | Role::Guest => Err(Problem::new(Kind::Forbidden)),
    }
}
