"""The list of behaviours (behaviours.ts) with py-amqp: arguments are three broker URLs; one line per behaviour on standard output."""

import socket
import sys
from urllib.parse import urlparse

import amqp

from behaviours import Behaviours, check, name

urls = sys.argv[1:4]
behaviours = Behaviours()


def connect(number=0):
    url = urlparse(urls[number % len(urls)])
    connection = amqp.Connection(f"{url.hostname}:{url.port}", url.username, url.password, confirm_publish=True)
    connection.connect()
    return connection


def drain(channel, queue, count):
    messages = []
    tag = channel.basic_consume(queue, no_ack=True, callback=messages.append)
    while len(messages) < count:
        channel.connection.drain_events(timeout=10)
    channel.basic_cancel(tag)
    return messages


@behaviours.add("publish-through-one-node-consume-through-another")
def _():
    queue, channel = name(), connect().channel()
    channel.queue_declare(queue, durable=True, auto_delete=False)
    for i in range(50):
        channel.basic_publish_confirm(amqp.Message(str(i), delivery_mode=2), routing_key=queue)
    bodies = [int(message.body) for message in drain(connect(1).channel(), queue, 50)]
    check(bodies == list(range(50)), f"order {bodies}")
    channel.queue_delete(queue)


@behaviours.add("properties-and-headers-come-back")
def _():
    queue, channel = name(), connect().channel()
    channel.queue_declare(queue)
    sent = {
        "content_type": "text/plain", "content_encoding": "binary", "priority": 3, "correlation_id": "c", "reply_to": "r",
        "expiration": "60000", "message_id": "m", "timestamp": 1_700_000_000, "type": "t",
        "user_id": "guest", "app_id": "a",
        "application_headers": {"text": "é", "number": 2**40, "true": True, "list": [1, "two"], "table": {"deep": 1.5}, "none": None},
    }
    channel.basic_publish(amqp.Message(b"\x00\xff", **sent), routing_key=queue)
    message = drain(channel, queue, 1)[0]
    check(bytes(message.body) == b"\x00\xff", f"body {message.body}")
    for key, value in sent.items():
        check(message.properties[key] == value, f"{key}: {message.properties[key]}")


@behaviours.add("an-unroutable-mandatory-message-is-returned")
def _():
    channel = connect().channel()
    returned = []
    channel.events["basic_return"].add(lambda error, *_: returned.append(error.reply_code))
    channel.basic_publish_confirm(amqp.Message("x"), routing_key=name(), mandatory=True)
    check(returned == [312], f"returned {returned}")


@behaviours.add("a-requeued-message-is-redelivered")
def _():
    queue, channel = name(), connect().channel()
    channel.queue_declare(queue, durable=True, auto_delete=False)
    channel.basic_publish_confirm(amqp.Message("again"), routing_key=queue)
    message = channel.basic_get(queue)
    check(not message.delivery_info["redelivered"], "first delivery is marked redelivered")
    channel.basic_reject(message.delivery_tag, requeue=True)
    message = drain(channel, queue, 1)[0]
    check(message.delivery_info["redelivered"] and message.body == "again", "after reject")
    channel.queue_delete(queue)


@behaviours.add("prefetch-bounds-what-is-unacknowledged")
def _():
    queue, connection = name(), connect(1)
    channel = connection.channel()
    channel.queue_declare(queue)
    for i in range(10):
        channel.basic_publish(amqp.Message(str(i)), routing_key=queue)
    channel.basic_qos(0, 3, False)
    tags = []
    channel.basic_consume(queue, callback=lambda message: tags.append(message.delivery_tag))

    def receive(count):
        while len(tags) < count:
            connection.drain_events(timeout=10)
        try:
            connection.drain_events(timeout=0.5)
        except socket.timeout:
            pass
        check(len(tags) == count, f"{len(tags)} messages instead of {count}")

    receive(3)
    channel.basic_ack(tags[-1], multiple=True)
    receive(6)


def refused(error, text, action, number=0):
    try:
        action(connect(number).channel())
    except error as refusal:
        check(text in refusal.reply_text, refusal.reply_text)
        return
    check(False, f"not refused; wanted {error.__name__}")


@behaviours.add("errors-have-the-codes-and-texts-that-clients-match")
def _():
    queue, owner = name(), connect().channel()
    owner.queue_declare(queue, durable=True, auto_delete=False)
    refused(amqp.NotFound, f"NOT_FOUND - no queue '{queue}-missing' in vhost '/'", lambda c: c.queue_declare(f"{queue}-missing", passive=True))
    refused(amqp.PreconditionFailed, f"inequivalent arg 'durable' for queue '{queue}' in vhost '/'",
            lambda c: c.queue_declare(queue, durable=False, auto_delete=False), 1)
    exclusive = owner.queue_declare("", exclusive=True).queue
    refused(amqp.ResourceLocked, f"cannot obtain exclusive access to locked queue '{exclusive}'", lambda c: c.queue_declare(exclusive, passive=True), 2)
    refused(amqp.AccessRefused, "ACCESS_REFUSED", lambda c: c.queue_declare("amq.mine"))

    def unknown_tag(channel):
        channel.basic_ack(99)
        channel.queue_declare(queue, passive=True)

    refused(amqp.PreconditionFailed, "PRECONDITION_FAILED - unknown delivery tag 99", unknown_tag)
    owner.queue_delete(queue)


@behaviours.add("exchanges-route-by-their-type")
def _():
    channel = connect().channel()
    queues = [channel.queue_declare("", exclusive=True, auto_delete=False).queue for _ in range(2)]
    for kind, keys, routed, missed in (
        ("direct", ("a", "b"), "a", "c"), ("topic", ("*.x.#", "y.#"), "1.x.2.3", "1.z"), ("fanout", ("", "q"), "any", None),
    ):
        exchange = f"{kind}-{name()}"
        channel.exchange_declare(exchange, kind, auto_delete=True)
        for queue, key in zip(queues, keys):
            channel.queue_bind(queue, exchange, key)
        if missed is not None:
            channel.basic_publish(amqp.Message("missed"), exchange, missed)
        channel.basic_publish(amqp.Message(kind), exchange, routed)
        check(drain(channel, queues[0], 1)[0].body == kind, kind)
        channel.exchange_delete(exchange)
    exchange = name()
    channel.exchange_declare(exchange, "headers", auto_delete=True)
    channel.queue_bind(queues[0], exchange, "", arguments={"x-match": "all", "a": 1, "b": "two"})
    channel.basic_publish(amqp.Message("no", application_headers={"a": 1}), exchange)
    channel.basic_publish(amqp.Message("yes", application_headers={"a": 1, "b": "two", "c": 3}), exchange)
    check(drain(channel, queues[0], 1)[0].body == "yes", "headers")


@behaviours.add("counts-purge-and-delete")
def _():
    queue = name()
    publisher, other = connect(0).channel(), connect(1).channel()
    publisher.queue_declare(queue, durable=True, auto_delete=False)
    for _ in range(7):
        publisher.basic_publish_confirm(amqp.Message("x"), routing_key=queue)
    check(other.queue_declare(queue, passive=True).message_count == 7, "count")
    check(other.queue_purge(queue) == 7, "purged")
    publisher.basic_publish_confirm(amqp.Message("x"), routing_key=queue)
    check(other.queue_delete(queue) == 1, "deleted")


@behaviours.add("a-consumer-hears-that-its-queue-is-gone")
def _():
    queue, connection = name(), connect()
    channel = connection.channel()
    channel.queue_declare(queue, auto_delete=False)
    cancelled = []
    channel.basic_consume(queue, callback=lambda message: None, on_cancel=cancelled.append)
    connect(1).channel().queue_delete(queue)
    connection.drain_events(timeout=10)
    check(len(cancelled) == 1, "no basic.cancel")


@behaviours.add("a-message-of-four-mebibytes-passes")
def _():
    queue, channel = name(), connect().channel()
    channel.queue_declare(queue, durable=True, auto_delete=False)
    body = bytes(range(256)) * 16_384
    channel.basic_publish_confirm(amqp.Message(body, content_encoding="binary"), routing_key=queue)
    check(bytes(drain(connect(1).channel(), queue, 1)[0].body) == body, "another body")
    channel.queue_delete(queue)


behaviours.run()
