"""Reads the pages of machines in all formats, and compares their series.

Takes a folder with NAME.prom, NAME.om and NAME.pb for each machine. The readers are the reference parsers
of text and OpenMetrics, and the protobuf library with a description of Prometheus' messages.
"""

import pathlib
import struct
import sys

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal.decoder import _DecodeVarint32
from prometheus_client import parser as text
from prometheus_client.openmetrics import parser as openmetrics

STRING, DOUBLE, INT64, INT32, MESSAGE = 9, 1, 3, 5, 11
ONE, MANY = 1, 3
MESSAGES = {
    "Timestamp": [("seconds", 1, INT64, ONE, None), ("nanos", 2, INT32, ONE, None)],
    "LabelPair": [("name", 1, STRING, ONE, None), ("value", 2, STRING, ONE, None)],
    "Number": [("value", 1, DOUBLE, ONE, None)],
    "Counter": [
        ("value", 1, DOUBLE, ONE, None),
        ("created_timestamp", 3, MESSAGE, ONE, "Timestamp"),
    ],
    "Metric": [
        ("label", 1, MESSAGE, MANY, "LabelPair"),
        ("gauge", 2, MESSAGE, ONE, "Number"),
        ("counter", 3, MESSAGE, ONE, "Counter"),
        ("untyped", 5, MESSAGE, ONE, "Number"),
    ],
    "MetricFamily": [
        ("name", 1, STRING, ONE, None),
        ("help", 2, STRING, ONE, None),
        ("type", 3, INT32, ONE, None),
        ("metric", 4, MESSAGE, MANY, "Metric"),
    ],
}
TYPES = {0: "counter", 1: "gauge", 3: "untyped"}


def family_class():
    file = descriptor_pb2.FileDescriptorProto(name="m.proto", package="m", syntax="proto2")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, label, of in fields:
            field = message.field.add(name=field, number=number, type=kind, label=label)
            if of:
                field.type_name = f".m.{of}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("m.MetricFamily"))


FAMILY = family_class()


def key(name, labels, value):
    # The parsers of text take -0 for a whole number, which has no sign then.
    return name, tuple(sorted(labels.items())), struct.pack("<d", value + 0.0)


def of_samples(families):
    samples = [sample for family in families for sample in family.samples]
    assert all(sample.exemplar is None and sample.timestamp is None for sample in samples)
    return sorted(key(sample.name, sample.labels, sample.value) for sample in samples)


def of_protobuf(page):
    series, at = [], 0
    while at < len(page):
        length, at = _DecodeVarint32(page, at)
        family = FAMILY.FromString(page[at : at + length])
        at += length
        size = family.ByteSize()
        family.DiscardUnknownFields()
        assert family.ByteSize() == size, family.name
        kind = TYPES[family.type]
        for metric in family.metric:
            labels = {label.name: label.value for label in metric.label}
            assert len(labels) == len(metric.label), family.name
            assert metric.HasField(kind), family.name
            series.append(key(family.name, labels, getattr(metric, kind).value))
    return sorted(series)


def of_text(page):
    """Without TYPE lines, for the parser renames counters whose name does not end in _total."""
    lines = [line for line in page.split("\n") if not line.startswith("#")]
    return of_samples(text.text_string_to_metric_families("\n".join(lines)))


def main():
    pages = sorted(pathlib.Path(sys.argv[1]).glob("*.prom"))
    count = 0
    for page in pages:
        known = of_text(read(page))
        families = list(openmetrics.text_string_to_metric_families(read(page.with_suffix(".om"))))
        compare(page.name, "OpenMetrics", known, of_samples(families))
        for family in families:
            assert family.type in ("counter", "gauge", "unknown"), family
            if family.type == "counter":
                assert {sample.name for sample in family.samples} == {family.name + "_total"}
        compare(page.name, "protobuf", known, of_protobuf(page.with_suffix(".pb").read_bytes()))
        count += len(known)
    print(f"{len(pages)} machines, {count} series")


def read(path):
    return path.read_bytes().decode()


def compare(page, format, known, found):
    missing, surplus = set(known) - set(found), set(found) - set(known)
    assert known == found, (page, format, list(missing)[:3], list(surplus)[:3])


main()
