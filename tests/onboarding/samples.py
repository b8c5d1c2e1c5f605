"""Events of public APIs, made up by their documented formats. Nothing in them is real."""

from __future__ import annotations

from typing import Any


def slack_message(number: int) -> dict[str, Any]:
    """A message of a channel's history: https://docs.slack.dev/reference/methods/conversations.history."""
    message: dict[str, Any] = {
        "type": "message",
        "user": f"U{number % 7:03d}",
        "text": f"<@U001> the units of {number} are wrong \U0001f600",
        "ts": f"{1_534_359_560 + 61 * number}.{number:06d}",
    }
    if number % 5 == 0:
        message |= {"thread_ts": message["ts"], "reply_count": 2, "reactions": [{"name": "+1", "users": ["U001"]}]}
    return message


def github_push(number: int) -> dict[str, Any]:
    """A push, as https://docs.github.com/en/webhooks/webhook-events-and-payloads#push describes it."""
    at = f"2026-03-{1 + number % 28:02d}T10:{number % 60:02d}:00+02:00"
    commit = {
        "id": f"{number:040x}",
        "message": "Fix the units\n\nOf weights, and \u00e9 too",
        "timestamp": at,
        "author": {"name": "Ada", "email": "ada@example.com", "username": "ada"},
        "added": [],
        "modified": ["units.py"],
        "distinct": True,
    }
    return {
        "ref": "refs/heads/main",
        "before": f"{number - 1:040x}" if number else "0" * 40,
        "after": f"{number:040x}",
        "repository": {"id": 7, "full_name": "example/units", "private": False, "created_at": 1_700_000_000 + number},
        "pusher": {"name": "ada", "email": "ada@example.com"},
        "sender": {"login": "ada", "id": 1, "type": "User"},
        "created": number == 0,
        "deleted": False,
        "forced": False,
        "base_ref": None,
        "compare": "https://example.com/compare",
        "commits": [commit] * (number % 3),
        "head_commit": commit,
    }


def cloudtrail(number: int) -> dict[str, Any]:
    """A record: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference.html."""
    return {
        "eventVersion": "1.11",
        "userIdentity": {"type": "AssumedRole", "accountId": "111122223333", "sessionContext": {"attributes": {}}},
        "eventTime": f"2026-04-{1 + number % 30:02d}T23:{number % 60:02d}:59Z",
        "eventSource": "s3.amazonaws.com",
        "eventName": ("GetObject", "PutObject", "AssumeRole")[number % 3],
        "awsRegion": "us-east-2",
        "sourceIPAddress": "192.0.2.10",
        "userAgent": "aws-cli/2",
        "errorCode": "AccessDenied" if number % 10 == 0 else None,
        "requestParameters": None if number % 3 == 2 else {"bucketName": "b", "key": f"k/{number}"},
        "responseElements": None,
        "requestID": f"R{number // 2}",
        "eventID": f"00000000-0000-4000-8000-{number:012x}",
        "readOnly": number % 3 == 0,
        "eventType": "AwsApiCall",
        "managementEvent": False,
        "recipientAccountId": "111122223333",
        "eventCategory": "Data",
    }


def stripe_event(number: int) -> dict[str, Any]:
    """An event with the object that it is about, as https://docs.stripe.com/api/events/object describes it."""
    return {
        "id": f"evt_{number:016x}",
        "object": "event",
        "api_version": "2026-01-28",
        "created": 1_770_000_000 + number * 3600,
        "data": {
            "object": {
                "id": f"ch_{number:016x}",
                "object": "charge",
                "amount": 1999 + number,
                "currency": "eur",
                "paid": number % 4 != 0,
                "metadata": {"order": f"o{number}"} if number % 2 else {},
                "failure_code": "card_declined" if number % 4 == 0 else None,
            }
        },
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": f"req_{number}", "idempotency_key": None},
        "type": "charge.succeeded" if number % 4 else "charge.failed",
    }


def eventbridge(number: int) -> dict[str, Any]:
    """An event, as https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html has it."""
    return {
        "version": "0",
        "id": f"11111111-2222-4333-8444-{number:012x}",
        "detail-type": "Order placed",
        "source": "shop.orders",
        "account": "111122223333",
        "time": f"2026-05-{1 + number % 31:02d}T08:00:{number % 60:02d}Z",
        "region": "eu-central-1",
        "resources": [],
        "detail": {"orderId": number, "lines": [{"sku": f"s{number % 5}", "qty": 1 + number % 3}], "total": number / 4},
    }


def segment_track(number: int) -> dict[str, Any]:
    """A track call, as https://segment.com/docs/connections/spec/track/ describes it."""
    return {
        "anonymousId": f"a{number % 40}",
        "context": {"ip": "192.0.2.1", "library": {"name": "analytics.js", "version": "2.1"}, "page": {"path": "/"}},
        "event": "Item \u2713 Purchased",
        "messageId": f"m-{number}",
        "properties": {"name": "Tour", "revenue": 14.99 + number, "coupon": None},
        "receivedAt": "2026-06-10T04:08:31.905Z",
        "sentAt": "2026-06-10T04:08:31.581Z",
        "timestamp": f"2026-06-10T04:08:{number % 60:02d}.905Z",
        "type": "track",
        "userId": None if number % 2 else f"u{number}",
        "originalTimestamp": "2026-06-09T23:11:04.107Z",
    }


def debezium_change(number: int) -> dict[str, Any]:
    """A change of a row: https://debezium.io/documentation/reference/stable/connectors/mysql.html, with its schema."""

    def row(quantity: int) -> dict[str, Any]:
        return {"id": 1000 + number, "customer": "Ann", "total": "NjA=", "quantity": quantity}

    operation = "cud"[number % 3]
    at = 1_767_225_600_000 + 250 * number
    return {
        "schema": {"type": "struct", "optional": False, "name": "shop.inventory.orders.Envelope"},
        "payload": {
            "before": None if operation == "c" else row(1),
            "after": None if operation == "d" else row(2),
            "source": {"connector": "mysql", "ts_ms": at, "table": "orders", "gtid": None, "pos": 154 + 7 * number},
            "op": operation,
            "ts_ms": at + 321,
        },
    }


def mongo_document(number: int) -> dict[str, Any]:
    """Extended JSON: https://www.mongodb.com/docs/manual/reference/mongodb-extended-json/."""
    return {
        "_id": {"$oid": f"{number:024x}"},
        "createdAt": {"$date": f"2026-01-{1 + number % 28:02d}T10:00:00Z"},
        "price": {"$numberDecimal": "12.50"},
        "views": {"$numberLong": str(number)},
        "user": {"_id": {"$oid": "a" * 24}, "name": "Ada"},
        "__v": 0,
    }


def earthquake(number: int) -> dict[str, Any]:
    """A feature of https://earthquake.usgs.gov/earthquakes/feed/v1.0/geojson.php."""
    return {
        "type": "Feature",
        "properties": {
            "mag": 1.5 + number % 4,
            "place": f"{number} km N of Somewhere",
            "time": 1_767_225_600_000 + 61_000 * number,
            "updated": 1_767_225_900_000 + 61_000 * number,
            "felt": None if number % 3 else 2,
        },
        "geometry": {"type": "Point", "coordinates": [-117.5, 33.25, 4.5]},
        "id": f"us7000{number:04d}",
    }


def reading(number: int) -> dict[str, Any]:
    """What a small device sends: the time as Python's `time.time()` gives it, and nothing that is unique."""
    return {"ts": 1_767_225_600.25 + 0.5 * (number // 2), "device": f"esp32-{number // 2 % 3}", "humidity": 41.5}
