//! A service of one's own: the same binary as weir, with a handler in Rust.

use std::process::ExitCode;

use weir::{Call, Event, Handler, HandlerError, HandlerResult, Service};

struct Invoices;

impl Handler for Invoices {
    fn handle(&self, event: &Event, call: Call) -> HandlerResult {
        let payload = event.payload();
        let Some(amount) = payload["amount"].as_f64() else {
            let reason = "no amount".to_owned();
            return Err(HandlerError::Reject { reason });
        };
        log::info!(amount, attempt = call.attempt; "invoice for {}", event.aggregate_id());
        Ok(())
    }
}

fn main() -> ExitCode {
    weir::cli::main(|loaded| {
        let service = Service::new(loaded).handler(Invoices);
        service.logs_of(module_path!()).run()
    })
}
