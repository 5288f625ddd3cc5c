//! Which handler the configuration asks for. A further kind is one more arm here.

use std::sync::Arc;

use super::Handler;
use super::filter::Filtered;
use super::log::LogHandler;
use super::webhook::{WebhookError, WebhookHandler};
use crate::config::settings::{HandlerChoice, Settings};

/// The handler of the configuration, behind its filter.
///
/// # Errors
/// When it cannot be made of its settings: the configuration is wrong.
pub fn chosen(settings: &Settings) -> Result<Arc<dyn Handler>, WebhookError> {
    let handler: Arc<dyn Handler> = match &settings.handler.choice {
        HandlerChoice::Log => Arc::new(LogHandler),
        HandlerChoice::Webhook(webhook) => Arc::new(WebhookHandler::new(webhook, settings)?),
    };
    let in_this_process = matches!(settings.handler.choice, HandlerChoice::Log);
    Ok(filtered(handler, settings, in_this_process))
}

/// Any handler behind the filter of the configuration; programs outside get test events only when `EVENTS` names them.
pub fn filtered(
    handler: Arc<dyn Handler>,
    settings: &Settings,
    in_this_process: bool,
) -> Arc<dyn Handler> {
    let events = settings.handler.events.clone();
    Arc::new(Filtered::new(handler, events, in_this_process))
}
