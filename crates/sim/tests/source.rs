//! The simulation as a source, read as the sampler reads it.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use expect_test::{Expect, expect};
use model::{
    Entity, FieldId, Kind, Moment, Pace, Pass, Reader, ReaderKind, Reading, Readings, Reason,
    Renew, Session, Source, Value, Watch, WatchIndex,
};
use sim::{Options, Scenario, SimSource, World};

const FIELDS: &[u16] = &[
    1, 100, 101, 112, 140, 150, 151, 155, 156, 158, 159, 160, 164, 170, 175, 191, 200, 201, 202,
    203, 204, 206, 207, 230, 235, 236, 237, 238, 250, 251, 252, 253, 254, 310, 311, 346, 390, 391,
    393, 394, 395, 396, 409, 419, 429, 439, 449, 526, 1001, 1002, 1003, 1004, 1005, 1009, 1010,
    1508, 1523,
];

fn watches(fields: &[u16], pace: Pace) -> Arc<[Watch]> {
    let watch = |field: &u16| Watch {
        field: FieldId(*field),
        name: Arc::from(format!("FIELD_{field}")),
        kind: Kind::Gauge,
        help: Arc::from("A field."),
        pace,
        cumulative: false,
    };
    fields.iter().map(watch).collect()
}

fn connect(options: Options, watches: &Arc<[Watch]>) -> Box<dyn Session> {
    let world = World::new(Scenario::story(), 1);
    SimSource::new(world, options).connect(watches, Renew::Driver).expect("sim always connects")
}

fn from(start: u64) -> Options {
    Options { start: Duration::from_secs(start), ..Options::default() }
}

/// The only reader of a GPU, called as the sampler calls it.
struct PolledReader {
    reader: Box<dyn Reader>,
    readings: Readings,
    began: Moment,
    previous: Option<Duration>,
}

impl PolledReader {
    fn new(session: &mut dyn Session, gpu: u32) -> Self {
        let mut readers = session.readers(gpu);
        assert_eq!(readers.len(), 1);
        let reader = readers.remove(0);
        assert_eq!(reader.kind(), ReaderKind::Main);
        let began = Moment::now();
        let readings = Readings::new(&reader.watches(), began);
        Self { reader, readings, began, previous: None }
    }

    fn pass(&mut self, elapsed_millis: u64) -> Result<Vec<Reading>, Reason> {
        let elapsed = Duration::from_millis(elapsed_millis);
        let now = self.began + elapsed;
        self.readings.begin(now);
        let (interval, cadence) = (Duration::from_millis(1), Duration::from_millis(1));
        let previous = self.previous.replace(elapsed);
        let pass = Pass { now, elapsed, previous, interval, cadence };
        self.reader.read(pass, &mut self.readings)?;
        Ok(self.readings.of_gpu().iter().map(|slot| slot.reading.clone()).collect())
    }
}

fn format_reading(reading: &Reading) -> String {
    match reading {
        Ok(Value::Int(n)) => n.to_string(),
        Ok(Value::Float(x)) => format!("{x:?}"),
        Ok(Value::Text(text)) => format!("{text:?}"),
        Err(reason) => reason.to_string(),
    }
}

/// Compares a table of readings: a row per field, a column per pass.
fn check(options: Options, gpu: u32, passes_millis: &[u64], expected: Expect) {
    let watches = watches(FIELDS, Pace::Every);
    let mut polled = PolledReader::new(connect(options, &watches).as_mut(), gpu);
    let columns: Vec<Vec<Reading>> = passes_millis
        .iter()
        .map(|elapsed| polled.pass(*elapsed).expect("the GPU answers"))
        .collect();
    let mut table = String::new();
    for (slot, position) in polled.reader.watches().iter().enumerate() {
        write!(table, "{:>4}", watches[*position].field).expect("writing to a string");
        for column in &columns {
            write!(table, "  {:<20}", format_reading(&column[slot])).expect("writing to a string");
        }
        table.truncate(table.trim_end().len());
        table.push('\n');
    }
    expected.assert_eq(&table);
}

#[test]
fn readings_of_gpu_5_with_memory_errors() {
    check(
        Options::default(),
        5,
        &[0, 60_000, 61_000, 301_000],
        expect![[r#"
               1  Text("simulated")     Text("simulated")     Text("simulated")     Text("simulated")
             100  345                   1980                  1980                  345
             101  2619                  2619                  2619                  2619
             112  1                     0                     0                     1
             140  35                    51                    52                    65
             150  32                    53                    53                    58
             151  95                    95                    95                    95
             155  70.0                  620.392               639.078               88.457
             156  0                     30045279              30674061              165419145
             158  87                    87                    87                    87
             159  92                    92                    92                    92
             160  700.0                 700.0                 700.0                 700.0
             164  700.0                 700.0                 700.0                 700.0
             170  3                     3                     3                     3
             175  1                     1                     1                     1
             191  not_supported         not_supported         not_supported         not_supported
             200  0                     147809                149279                0
             201  0                     1573008               1592310               0
             202  0                     0                     0                     0
             203  0                     100                   100                   23
             204  0                     41                    41                    6
             206  0                     0                     0                     0
             207  0                     0                     0                     0
             230  no_data               no_data               no_data               no_data
             235  5                     5                     5                     5
             236  16                    16                    16                    16
             237  5                     5                     5                     5
             238  16                    16                    16                    16
             250  81559                 81559                 81559                 81559
             251  81008                 23500                 23500                 81008
             252  0                     57508                 57508                 0
             253  551                   551                   551                   551
             254  0.0                   0.7099051945486865    0.7099051945486865    0.0
             310  0                     0                     0                     312
             311  0                     0                     0                     1
             346  0                     0                     0                     0
             390  not_supported         not_supported         not_supported         not_supported
             391  not_supported         not_supported         not_supported         not_supported
             393  0                     0                     0                     1
             394  0                     0                     0                     0
             395  0                     0                     0                     0
             396  0                     0                     0                     1
             409  0                     0                     0                     0
             419  0                     0                     0                     0
             429  0                     0                     0                     0
             439  0                     0                     0                     0
             449  no_data               141793                179634                145572
             526  0                     0                     0                     0
            1001  no_data               0.7610333333333383    0.9960000000000093    0.962866666666648
            1002  no_data               0.6356906195337689    0.836028112432011     0.7092951202979901
            1003  no_data               0.29144376937490085   0.385572000472596     0.3134561085171946
            1004  no_data               0.33491329731335107   0.4570237985647516    0.35333238404621437
            1005  no_data               0.3193891880594346    0.4084736437074028    0.33616695425929394
            1009  no_data               140821259             163362995             508825261
            1010  no_data               2218625588            1929208875            1555720374
            1508  no_data               no_data               no_data               no_data
            1523  0                     0                     0                     4
        "#]],
    );
}

#[test]
fn readings_of_gpu_2_frozen_while_hot() {
    check(
        Options { frozen: true, ..from(260) },
        2,
        &[0, 60_000],
        expect![[r#"
               1  Text("simulated")     Text("simulated")
             100  990                   990
             101  2619                  2619
             112  96                    96
             140  95                    95
             150  89                    89
             151  95                    95
             155  180.581               180.581
             156  126572662             126572662
             158  87                    87
             159  92                    92
             160  700.0                 700.0
             164  700.0                 700.0
             170  3                     3
             175  1                     1
             191  not_supported         not_supported
             200  152676                152676
             201  1628553               1628553
             202  0                     0
             203  100                   100
             204  30                    30
             206  0                     0
             207  0                     0
             230  no_data               no_data
             235  5                     5
             236  16                    16
             237  5                     5
             238  16                    16
             250  81559                 81559
             251  23754                 23754
             252  57254                 57254
             253  551                   551
             254  0.706769701757851     0.706769701757851
             310  0                     0
             311  0                     0
             346  0                     0
             390  not_supported         not_supported
             391  not_supported         not_supported
             393  0                     0
             394  0                     0
             395  0                     0
             396  0                     0
             409  0                     0
             419  0                     0
             429  0                     0
             439  0                     0
             449  74549                 74549
             526  0                     0
            1001  1.0                   1.0
            1002  0.9465964348533672    0.9465964348533672
            1003  0.43767362041607294   0.43767362041607294
            1004  0.6412427461909906    0.6412427461909906
            1005  0.19847989763054472   0.19847989763054472
            1009  152676844             152676844
            1010  1628553006            1628553006
            1508  no_data               no_data
            1523  0                     0
        "#]],
    );
}

#[test]
fn the_session_reports_version_gpus_and_identity() {
    let watches = watches(FIELDS, Pace::Every);
    let mut source = SimSource::new(World::new(Scenario::story(), 1), Options::default());
    assert_eq!(source.name(), "sim");
    let mut session = source.connect(&watches, Renew::Driver).unwrap();
    assert_eq!(session.driver_version().as_deref(), Some("simulated"));
    assert_eq!(session.gpus(), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert!(session.readers(8).is_empty());
    assert_eq!(session.outdated(), None);
    let identity = session.readers(0)[0].open().unwrap().expect("an identity");
    assert_eq!(identity.index, Some(0));
    assert_eq!(identity.pci_bus_id.as_deref(), Some("00000000:1A:00.0"));
    assert_eq!(identity.model_name.as_deref(), Some("NVIDIA H100 80GB HBM3"));
    assert!(identity.uuid.as_ref().is_some_and(|uuid| uuid.starts_with("GPU-")));
}

#[test]
fn each_nvlink_has_its_own_state() {
    let mut session = connect(Options::default(), &watches(&[203, 1508], Pace::Slow));
    let mut polled = PolledReader::new(session.as_mut(), 0);
    polled.pass(0).unwrap();
    let (gpu, links) = polled.readings.parts().split_first().unwrap();
    assert_eq!(
        gpu.readings[1].reading,
        Err(Reason::NoData),
        "a field of links has no value for the GPU"
    );
    assert_eq!(links.len(), 18);
    for (number, link) in (0..).zip(links) {
        assert_eq!((&link.entity, &*link.watches), (&Entity::Link(number), &[WatchIndex(1)][..]));
        assert_eq!(link.readings[0].reading, Ok(Value::Int(1)));
    }
    let first = links[17].readings[0].at;
    polled.pass(9_999).unwrap();
    assert_eq!(polled.readings.parts()[18].readings[0].at, first);
    polled.pass(10_000).unwrap();
    assert!(polled.readings.parts()[18].readings[0].at > first);
}

#[test]
fn without_link_watches_there_are_no_link_parts() {
    let mut session = connect(Options::default(), &watches(&[203], Pace::Every));
    let mut polled = PolledReader::new(session.as_mut(), 0);
    polled.pass(0).unwrap();
    assert_eq!(polled.readings.parts().len(), 1);
}

#[test]
fn unknown_fields_are_not_served() {
    let watches = watches(&[999, 203, 312, 230, 203], Pace::Every);
    let polled = PolledReader::new(connect(Options::default(), &watches).as_mut(), 0);
    assert_eq!(*polled.reader.watches(), [1, 3, 4].map(WatchIndex));
}

#[test]
fn slow_watches_are_read_every_ten_seconds() {
    let mut session = connect(from(60), &watches(&[203], Pace::Slow));
    let mut polled = PolledReader::new(session.as_mut(), 0);
    polled.pass(0).unwrap();
    let first = polled.readings.of_gpu()[0].at;
    polled.pass(9_999).unwrap();
    assert_eq!(polled.readings.of_gpu()[0].at, first);
    polled.pass(10_000).unwrap();
    assert!(polled.readings.of_gpu()[0].at > first);
}

#[test]
fn averages_are_over_the_time_since_the_last_pass() {
    let mut world = World::new(Scenario::story(), 1);
    let mut tensor_seconds = [0, 60, 61].map(|t| {
        world.advance_to(Duration::from_secs(t));
        world.gpus()[0].activity_seconds.tensor
    });
    tensor_seconds[2] -= tensor_seconds[1];
    tensor_seconds[1] /= 60.0;

    let mut session = connect(Options::default(), &watches(&[1004], Pace::Every));
    let mut polled = PolledReader::new(session.as_mut(), 0);
    assert_eq!(polled.pass(0).unwrap(), [Err(Reason::NoData)]);
    assert_eq!(polled.pass(60_000).unwrap(), [Ok(Value::Float(tensor_seconds[1]))]);
    assert_eq!(polled.pass(61_000).unwrap(), [Ok(Value::Float(tensor_seconds[2]))]);
    // Without a new step there is no average, so the value is that of this moment.
    let moment = world.gpus()[0].activity.tensor;
    assert_eq!(polled.pass(61_050).unwrap(), [Ok(Value::Float(moment))]);
}

#[test]
fn a_lost_gpu_reports_xid_79_and_comes_back() {
    let options = Options { speed: 10.0, ..from(470) };
    let mut session = connect(options, &watches(&[203, 1001], Pace::Every));
    let mut polled = PolledReader::new(session.as_mut(), 7);
    let identity = polled.reader.open().unwrap();
    polled.pass(0).unwrap();
    assert_eq!(polled.reader.take_xids(), []);

    assert_eq!(polled.pass(1_000), Err(Reason::Lost));
    assert_eq!(polled.reader.open(), Err(Reason::Lost));
    let xids = polled.reader.take_xids();
    assert_eq!(xids.len(), 1);
    assert_eq!((xids[0].xid.code, xids[0].instance), (79, None));
    assert!(polled.reader.delivers_xids());

    // The other readers move time forward.
    let mut other = PolledReader::new(session.as_mut(), 0);
    other.pass(80_000).unwrap();
    assert_eq!(polled.reader.open(), Ok(identity));
    let first = polled.pass(80_000).unwrap();
    assert_eq!(
        first[1],
        Err(Reason::NoData),
        "no average includes the time while the GPU was lost"
    );
    assert_eq!(polled.reader.take_xids(), [], "each XID is delivered once");
}

#[test]
fn a_frozen_world_includes_earlier_events() {
    let mut session =
        connect(Options { frozen: true, ..from(600) }, &watches(&[203, 230], Pace::Every));
    let mut lost = PolledReader::new(session.as_mut(), 7);
    assert_eq!(lost.reader.open(), Err(Reason::Lost));
    assert_eq!(lost.reader.take_xids().len(), 1);
    let again = PolledReader::new(session.as_mut(), 7).reader.take_xids();
    assert_eq!(again, [], "a new reader does not deliver the XID again");

    let mut bad = PolledReader::new(session.as_mut(), 5);
    let readings = bad.pass(5_000).unwrap();
    assert_eq!(readings, bad.pass(50_000).unwrap());
    assert_eq!(bad.readings.of_gpu()[1].at, None, "XIDs are not readings");
    let mut codes: Vec<u32> = bad.reader.take_xids().iter().map(|event| event.xid.code).collect();
    codes.sort_unstable();
    assert_eq!(codes, [48, 63, 94]);
}

#[test]
fn a_new_session_continues_the_same_world() {
    let watches = watches(&[156], Pace::Every);
    let world = World::new(Scenario::steady(1), 1);
    let mut source = SimSource::new(world, Options::default());
    let mut energy_after = |elapsed_millis| {
        let mut polled =
            PolledReader::new(source.connect(&watches, Renew::Driver).unwrap().as_mut(), 0);
        let readings = polled.pass(elapsed_millis).unwrap();
        let Ok(Value::Int(millijoules)) = readings[0] else { panic!("{readings:?}") };
        millijoules
    };
    let first = energy_after(10_000);
    assert!(energy_after(11_000) > first + 100_000);
}
