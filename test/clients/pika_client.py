"""The list of behaviours (behaviours.ts) with pika: arguments are three broker URLs; one line per behaviour on standard output."""

import sys
import time
import uuid

import pika
from pika import exceptions

from behaviours import Behaviours, check, name

urls = sys.argv[1:4]
behaviours = Behaviours()


def connect(number=0):
    return pika.BlockingConnection(pika.URLParameters(urls[number % len(urls)]))


def drain(channel, queue, count, auto_ack=True):
    messages = []
    for method, properties, body in channel.consume(queue, auto_ack=auto_ack, inactivity_timeout=10):
        check(method is not None, f"{len(messages)} of {count} messages within 10 s")
        messages.append((method, properties, body))
        if len(messages) == count:
            break
    channel.cancel()
    return messages


@behaviours.add("publish-through-one-node-consume-through-another")
def _():
    queue = name()
    first, second = connect(0), connect(1)
    first.channel().queue_declare(queue, durable=True)
    publisher = first.channel()
    publisher.confirm_delivery()
    for i in range(50):
        publisher.basic_publish("", queue, str(i).encode(), pika.BasicProperties(delivery_mode=2), mandatory=True)
    bodies = [int(body) for _, _, body in drain(second.channel(), queue, 50)]
    check(bodies == list(range(50)), f"order {bodies}")
    first.channel().queue_delete(queue)


@behaviours.add("properties-and-headers-come-back")
def _():
    queue, connection = name(), connect()
    channel = connection.channel()
    channel.queue_declare(queue)
    sent = pika.BasicProperties(
        content_type="text/plain", content_encoding="utf-8", priority=3, correlation_id="c", reply_to="r",
        expiration="60000", message_id="m", timestamp=1_700_000_000, type="t", user_id="guest", app_id="a",
        headers={"text": "é", "number": 2**40, "true": True, "list": [1, "two"], "table": {"deep": 5}, "none": None},
    )
    channel.basic_publish("", queue, b"\x00\xff", sent)
    _, properties, body = drain(channel, queue, 1)[0]
    check(body == b"\x00\xff", f"body {body}")
    for key in vars(sent):
        check(getattr(properties, key) == getattr(sent, key), f"{key}: {getattr(properties, key)}")
    channel.queue_delete(queue)


@behaviours.add("an-unroutable-mandatory-message-is-returned")
def _():
    channel = connect().channel()
    channel.confirm_delivery()
    try:
        channel.basic_publish("", name(), b"x", mandatory=True)
        check(False, "not returned")
    except exceptions.UnroutableError as error:
        check(error.messages[0].method.reply_code == 312, f"{error.messages[0].method}")


@behaviours.add("a-requeued-message-is-redelivered")
def _():
    queue, channel = name(), connect().channel()
    channel.queue_declare(queue, durable=True)
    channel.basic_publish("", queue, b"again")
    method, _, _ = drain(channel, queue, 1, auto_ack=False)[0]
    check(not method.redelivered, "first delivery is marked redelivered")
    channel.basic_nack(method.delivery_tag, requeue=True)
    method, _, body = drain(channel, queue, 1, auto_ack=False)[0]
    check(method.redelivered and body == b"again", f"after nack: {method}")
    channel.close()
    method, _, _ = drain(connect(2).channel(), queue, 1)[0]
    check(method.redelivered, "not marked redelivered after its channel was closed")
    channel = connect(1).channel()
    channel.queue_delete(queue)


@behaviours.add("prefetch-bounds-what-is-unacknowledged")
def _():
    queue, connection = name(), connect(1)
    channel = connection.channel()
    channel.queue_declare(queue)
    for i in range(10):
        channel.basic_publish("", queue, str(i).encode())
    channel.basic_qos(prefetch_count=3)
    seen = []
    channel.basic_consume(queue, lambda _c, method, _p, _b: seen.append(method.delivery_tag))
    connection.process_data_events(time_limit=1)
    check(len(seen) == 3, f"{len(seen)} messages with a prefetch of 3")
    channel.basic_ack(seen[-1], multiple=True)
    connection.process_data_events(time_limit=1)
    check(len(seen) == 6, f"{len(seen)} messages after 3 were acknowledged")
    channel.queue_delete(queue)


def closed_with(code, text, action, number=0):
    channel = connect(number).channel()
    try:
        action(channel)
        check(False, f"not refused; wanted {code}")
    except (exceptions.ChannelClosedByBroker, exceptions.ConnectionClosedByBroker) as error:
        check(error.reply_code == code and text in error.reply_text, f"{error.reply_code} {error.reply_text}")


@behaviours.add("errors-have-the-codes-and-texts-that-clients-match")
def _():
    queue = name()
    owner = connect().channel()
    owner.queue_declare(queue, durable=True)
    closed_with(404, f"NOT_FOUND - no queue '{queue}-missing' in vhost '/'",
                lambda channel: channel.queue_declare(f"{queue}-missing", passive=True))
    closed_with(406, f"PRECONDITION_FAILED - inequivalent arg 'durable' for queue '{queue}' in vhost '/'",
                lambda channel: channel.queue_declare(queue, durable=False), 1)
    exclusive = owner.queue_declare("", exclusive=True).method.queue
    closed_with(405, f"RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{exclusive}'",
                lambda channel: channel.queue_declare(exclusive, passive=True), 2)
    closed_with(403, "ACCESS_REFUSED", lambda channel: channel.queue_declare("amq.mine"))

    def unknown_tag(channel):
        channel.basic_ack(99)
        channel.queue_declare(queue, passive=True)

    closed_with(406, "PRECONDITION_FAILED - unknown delivery tag 99", unknown_tag)
    owner.queue_delete(queue)


@behaviours.add("exchanges-route-by-their-type")
def _():
    channel = connect().channel()
    suffix = uuid.uuid4().hex
    queues = [channel.queue_declare("", exclusive=True).method.queue for _ in range(2)]
    for kind, keys, routed, missed in (
        ("direct", ("a", "b"), "a", "c"), ("topic", ("*.x.#", "y.#"), "1.x.2.3", "1.z"), ("fanout", ("", "q"), "any", None),
    ):
        exchange = f"{kind}-{suffix}"
        channel.exchange_declare(exchange, kind, auto_delete=True)
        for queue, key in zip(queues, keys):
            channel.queue_bind(queue, exchange, key)
        channel.basic_publish(exchange, routed, kind.encode())
        if missed is not None:
            channel.basic_publish(exchange, missed, b"missed")
        check(drain(channel, queues[0], 1)[0][2] == kind.encode(), kind)
        channel.exchange_delete(exchange)
    channel.exchange_declare(f"headers-{suffix}", "headers", auto_delete=True)
    channel.queue_bind(queues[0], f"headers-{suffix}", "", {"x-match": "all", "a": 1, "b": "two"})
    channel.basic_publish(f"headers-{suffix}", "", b"no", pika.BasicProperties(headers={"a": 1}))
    channel.basic_publish(f"headers-{suffix}", "", b"yes", pika.BasicProperties(headers={"a": 1, "b": "two", "c": 3}))
    check(drain(channel, queues[0], 1)[0][2] == b"yes", "headers")


@behaviours.add("counts-purge-and-delete")
def _():
    queue = name()
    publisher, other = connect(0).channel(), connect(1).channel()
    publisher.confirm_delivery()
    publisher.queue_declare(queue, durable=True)
    for _ in range(7):
        publisher.basic_publish("", queue, b"x")
    check(other.queue_declare(queue, passive=True).method.message_count == 7, "count")
    check(other.queue_purge(queue).method.message_count == 7, "purged")
    publisher.basic_publish("", queue, b"x")
    check(other.queue_delete(queue).method.message_count == 1, "deleted")


@behaviours.add("a-consumer-hears-that-its-queue-is-gone")
def _():
    queue, connection = name(), connect()
    channel = connection.channel()
    channel.queue_declare(queue)
    cancelled = []
    channel.add_on_cancel_callback(cancelled.append)
    channel.basic_consume(queue, lambda *_: None)
    connect(1).channel().queue_delete(queue)
    for _ in range(50):
        connection.process_data_events(time_limit=0.1)
        if cancelled:
            break
    check(len(cancelled) == 1, "no basic.cancel within 5 s")


@behaviours.add("a-message-of-four-mebibytes-passes")
def _():
    queue, channel = name(), connect().channel()
    channel.queue_declare(queue, durable=True)
    channel.confirm_delivery()
    body = bytes(range(256)) * 16_384
    channel.basic_publish("", queue, body)
    check(drain(connect(1).channel(), queue, 1)[0][2] == body, "another body")
    channel.queue_delete(queue)


@behaviours.add("what-a-cancelled-consumer-holds-can-be-acknowledged")
def _():
    queue, connection = name(), connect(1)
    channel, held = connection.channel(), []
    channel.queue_declare(queue, durable=True)
    channel.confirm_delivery()
    for i in range(3):
        channel.basic_publish("", queue, str(i).encode())
    tag = channel.basic_consume(queue, lambda _c, method, _p, _b: held.append(method.delivery_tag))
    while len(held) < 3:
        connection.process_data_events(time_limit=10)
    channel.basic_cancel(tag)
    channel.basic_ack(held[1])
    channel.basic_nack(held[2], requeue=False)
    channel.basic_reject(held[0], requeue=True)
    method, _, body = drain(channel, queue, 1)[0]
    check(method.redelivered and body == b"0", f"{body} came back")
    check(channel.queue_delete(queue).method.message_count == 0, "messages are left")


@behaviours.add("recover-brings-back-what-is-unacknowledged")
def _():
    queue, channel = name(), connect().channel()
    channel.queue_declare(queue, durable=True)
    channel.confirm_delivery()
    channel.basic_publish("", queue, b"again")
    method, _, _ = channel.basic_get(queue)
    check(not method.redelivered, "first delivery is marked redelivered")
    channel.basic_recover(requeue=True)
    method, _, body = drain(channel, queue, 1)[0]
    check(method.redelivered and body == b"again", f"after recover: {method}")
    channel.queue_delete(queue)


@behaviours.add("an-exclusive-consumer-keeps-others-out")
def _():
    queue, channel = name(), connect().channel()
    channel.queue_declare(queue, durable=True)
    tag = channel.basic_consume(queue, lambda *_: None, exclusive=True)
    refusal = f"ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use"
    closed_with(403, refusal, lambda other: other.basic_consume(queue, lambda *_: None), 1)
    channel.basic_cancel(tag)
    connect(1).channel().basic_consume(queue, lambda *_: None)
    closed_with(403, refusal, lambda other: other.basic_consume(queue, lambda *_: None, exclusive=True), 2)
    channel.queue_delete(queue)


@behaviours.add("an-auto-delete-queue-goes-with-its-last-consumer")
def _():
    queue, channel = name(), connect().channel()
    channel.queue_declare(queue, auto_delete=True)
    tags = [channel.basic_consume(queue, lambda *_: None) for _ in range(2)]
    channel.basic_cancel(tags[0])
    channel.queue_declare(queue, passive=True)
    channel.basic_cancel(tags[1])
    closed_with(404, f"no queue '{queue}'", lambda other: other.queue_declare(queue, passive=True))


@behaviours.add("a-queue-in-use-or-with-messages-is-not-deleted-on-condition")
def _():
    queue, channel = name(), connect().channel()
    channel.queue_declare(queue, durable=True)
    channel.confirm_delivery()
    channel.basic_publish("", queue, b"x")
    closed_with(406, f"PRECONDITION_FAILED - queue '{queue}' in vhost '/' not empty", lambda other: other.queue_delete(queue, if_empty=True), 1)
    channel.queue_purge(queue)
    tag = channel.basic_consume(queue, lambda *_: None)
    closed_with(406, f"PRECONDITION_FAILED - queue '{queue}' in vhost '/' in use", lambda other: other.queue_delete(queue, if_unused=True), 1)
    channel.basic_cancel(tag)
    channel.queue_delete(queue, if_unused=True, if_empty=True)
    exchange = name()
    channel.exchange_declare(exchange, "fanout")
    channel.queue_bind(channel.queue_declare("", exclusive=True).method.queue, exchange)
    closed_with(406, f"PRECONDITION_FAILED - exchange '{exchange}' in vhost '/' in use", lambda other: other.exchange_delete(exchange, if_unused=True), 1)
    channel.exchange_delete(exchange)


@behaviours.add("a-transaction-is-all-or-nothing")
def _():
    queue, channel, other = name(), connect().channel(), connect(1).channel()
    channel.queue_declare(queue, durable=True)
    channel.tx_select()
    for commit, count in ((channel.tx_rollback, 0), (channel.tx_commit, 2)):
        channel.basic_publish("", queue, b"1")
        channel.basic_publish("", queue, b"2")
        check(other.queue_declare(queue, passive=True).method.message_count == 0, "published before the commit")
        commit()
        found = other.queue_declare(queue, passive=True).method.message_count
        check(found == count, f"{found} messages instead of {count}")
    method, _, _ = channel.basic_get(queue)
    channel.basic_ack(method.delivery_tag)
    channel.tx_rollback()
    channel.basic_ack(method.delivery_tag)
    channel.tx_commit()
    channel.close()
    check(other.queue_delete(queue).method.message_count == 1, "one acknowledged message stays")


@behaviours.add("an-exchange-passes-on-to-a-bound-exchange")
def _():
    channel = connect().channel()
    source, destination = name(), name()
    channel.exchange_declare(source, "topic")
    channel.exchange_declare(destination, "fanout")
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, destination)
    channel.exchange_bind(destination, source, "a.*")
    channel.basic_publish(source, "b.c", b"missed")
    channel.basic_publish(source, "a.b", b"routed")
    method, _, body = drain(channel, queue, 1)[0]
    check(body == b"routed" and method.exchange == source, f"{body} from {method.exchange}")
    channel.exchange_unbind(destination, source, "a.*")
    channel.confirm_delivery()
    try:
        channel.basic_publish(source, "a.b", b"x", mandatory=True)
        check(False, "routed after the unbind")
    except exceptions.UnroutableError:
        channel.exchange_delete(source)
        channel.exchange_delete(destination)


@behaviours.add("an-alternate-exchange-takes-what-has-no-route")
def _():
    channel = connect().channel()
    exchange, alternate = name(), name()
    channel.exchange_declare(alternate, "fanout")
    channel.exchange_declare(exchange, "direct", arguments={"alternate-exchange": alternate})
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, alternate)
    channel.confirm_delivery()
    channel.basic_publish(exchange, "nobody", b"caught", mandatory=True)
    check(drain(channel, queue, 1)[0][2] == b"caught", "another message")
    channel.exchange_delete(exchange)
    channel.exchange_delete(alternate)


@behaviours.add("a-request-is-answered-through-direct-reply-to")
def _():
    queue, client, server = name(), connect(0), connect(1)
    serving, asking, answers = server.channel(), client.channel(), []
    serving.queue_declare(queue)
    asking.basic_consume("amq.rabbitmq.reply-to", lambda _c, _m, _p, body: answers.append(body), auto_ack=True)
    asking.basic_publish("", queue, b"2", pika.BasicProperties(reply_to="amq.rabbitmq.reply-to"))
    _, request, body = drain(serving, queue, 1)[0]
    check(request.reply_to.startswith("amq.rabbitmq.reply-to."), f"reply-to {request.reply_to}")
    serving.basic_publish("", request.reply_to, body * 2)
    while not answers:
        client.process_data_events(time_limit=10)
    check(answers == [b"22"], f"{answers}")
    serving.queue_delete(queue)


@behaviours.add("a-stream-is-read-from-its-first-message-twice")
def _():
    queue, publisher = name(), connect().channel()
    publisher.confirm_delivery()
    publisher.queue_declare(queue, durable=True, arguments={"x-queue-type": "stream", "x-max-age": "1h"})
    for i in range(50):
        publisher.basic_publish("", queue, str(i).encode())
    for number in (1, 2):
        connection, seen = connect(number), []
        channel = connection.channel()
        channel.basic_qos(prefetch_count=5)

        def read(_channel, method, properties, body):
            seen.append((properties.headers["x-stream-offset"], int(body), method.redelivered))
            channel.basic_ack(method.delivery_tag)

        channel.basic_consume(queue, read, arguments={"x-stream-offset": "first"})
        end = time.monotonic() + 10
        while len(seen) < 50:
            check(time.monotonic() < end, f"{len(seen)} of 50 messages within 10 s")
            connection.process_data_events(time_limit=1)
        check(seen == [(i, i, False) for i in range(50)], f"{seen}")
        connection.close()
    refusal = f"NOT_IMPLEMENTED - basic.get not supported by stream queues queue '{queue}' in vhost '/'"
    closed_with(540, refusal, lambda channel: channel.basic_get(queue))
    publisher.queue_delete(queue)


behaviours.run()
