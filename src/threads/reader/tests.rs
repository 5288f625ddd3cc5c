//! Which lane an event gets.

use super::*;
use crate::domain::wire::WireFormat;

fn event(fields: &[(&str, &str)]) -> Event {
    let fields = fields
        .iter()
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect::<Vec<_>>();
    let id = EntryId { ms: 7, seq: 0 };
    wire::read(id, fields, 1_024, WireFormat::Auto).unwrap()
}

#[test]
fn the_lane_is_the_aggregate_whichever_format_an_entry_has() {
    let field = |name: &str| OrderBy::Field(name.to_owned());
    let ours = event(&[("event", "e"), ("aggregateId", "a-1"), ("tenant", "t")]);
    let foreign = event(&[("body", r#"{"aggregateId":"a-1"}"#), ("tenant", "t")]);
    let nameless = event(&[("msg", "text")]);
    let aggregate = |text: &str| LaneKey::Aggregate(Arc::from(text));
    let own = LaneKey::Own(EntryId { ms: 7, seq: 0 });
    for (event, order_by, lane) in [
        (&ours, field("aggregateId"), aggregate("a-1")),
        (&foreign, field("aggregateId"), aggregate("a-1")),
        // The aggregate of such an entry is its id, so it waits for nobody.
        (&nameless, field("aggregateId"), aggregate("7-0")),
        (&ours, field("tenant"), aggregate("t")),
        (&foreign, field("tenant"), aggregate("t")),
        (&nameless, field("tenant"), own.clone()),
        (&foreign, field("event"), aggregate("connect.message")),
        (&foreign, OrderBy::None, own),
        (&foreign, OrderBy::Stream, LaneKey::Stream),
    ] {
        assert_eq!(lane_of(event, &order_by), lane, "{order_by:?}");
    }
}
