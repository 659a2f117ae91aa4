//! The page where a buyer pays, in plain HTML that works without anything else.

use super::wire::{Payment, Status};

/// What a buyer sees of a payment.
pub(super) fn page(payment: &Payment) -> String {
    let (headline, form) = match payment.status {
        Status::Open => ("Pay", FORM),
        Status::Processing => ("Your bank is being asked. You may close this page.", ""),
        Status::Authorised | Status::Captured => ("Paid. You may close this page.", ""),
        Status::Declined => ("Your bank said no. Nothing was taken.", ""),
        Status::Voided => ("This can be paid no more. Nothing was taken.", ""),
    };
    let Payment { amount, currency, reference, .. } = payment;
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>\
         <title>{headline}</title><style>{STYLE}</style><main><p>Test provider: no money moves</p><h1>{headline}</h1>\
         <p><strong>{amount} {currency}</strong><br><small>{reference}</small></p>{form}</main></html>"
    )
}

const FORM: &str = "<form method=post><button name=outcome value=pay>Pay</button> \
                    <button name=outcome value=decline>Let the bank say no</button></form>";
const STYLE: &str = "body{font:1rem/1.5 system-ui;margin:0;color:#1b1b1f;background:#f4f4f6}\
                     main{max-width:26rem;margin:10vh auto;padding:2rem;background:#fff;border-radius:.5rem}\
                     button{font:inherit;padding:.6rem 1.2rem}small{color:#666;overflow-wrap:anywhere}\
                     @media(prefers-color-scheme:dark){body{color:#eee;background:#16161a}main{background:#222228}}";
