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


def count(number, queue):
    return connect(number).channel().queue_declare(queue, passive=True).message_count


@behaviours.add("what-a-cancelled-consumer-holds-can-be-acknowledged")
def _():
    queue, connection, held = name(), connect(1), []
    channel = connection.channel()
    channel.queue_declare(queue, durable=True, auto_delete=False)
    for i in range(3):
        channel.basic_publish_confirm(amqp.Message(str(i)), routing_key=queue)
    tag = channel.basic_consume(queue, callback=lambda message: held.append(message.delivery_tag))
    while len(held) < 3:
        connection.drain_events(timeout=10)
    channel.basic_cancel(tag)
    channel.basic_ack(held[1])
    channel.basic_reject(held[2], requeue=False)
    channel.basic_reject(held[0], requeue=True)
    message = drain(channel, queue, 1)[0]
    check(message.delivery_info["redelivered"] and message.body == "0", f"{message.body} came back")
    check(channel.queue_delete(queue) == 0, "messages are left")


@behaviours.add("recover-brings-back-what-is-unacknowledged")
def _():
    queue, channel = name(), connect().channel()
    channel.queue_declare(queue, durable=True, auto_delete=False)
    channel.basic_publish_confirm(amqp.Message("again"), routing_key=queue)
    check(not channel.basic_get(queue).delivery_info["redelivered"], "first delivery is marked redelivered")
    channel.basic_recover(requeue=True)
    message = drain(channel, queue, 1)[0]
    check(message.delivery_info["redelivered"] and message.body == "again", "after recover")
    channel.queue_delete(queue)


@behaviours.add("an-exclusive-consumer-keeps-others-out")
def _():
    queue, channel = name(), connect().channel()
    channel.queue_declare(queue, durable=True, auto_delete=False)
    tag = channel.basic_consume(queue, exclusive=True)
    refusal = f"ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use"
    refused(amqp.AccessRefused, refusal, lambda other: other.basic_consume(queue), 1)
    channel.basic_cancel(tag)
    second = connect(1)
    second.channel().basic_consume(queue)
    refused(amqp.AccessRefused, refusal, lambda other: other.basic_consume(queue, exclusive=True), 2)
    second.close()
    channel.queue_delete(queue)


@behaviours.add("an-auto-delete-queue-goes-with-its-last-consumer")
def _():
    queue, channel = name(), connect().channel()
    channel.queue_declare(queue, auto_delete=True)
    tags = [channel.basic_consume(queue) for _ in range(2)]
    channel.basic_cancel(tags[0])
    channel.queue_declare(queue, passive=True)
    channel.basic_cancel(tags[1])
    refused(amqp.NotFound, f"no queue '{queue}'", lambda other: other.queue_declare(queue, passive=True))


@behaviours.add("a-queue-in-use-or-with-messages-is-not-deleted-on-condition")
def _():
    queue, channel = name(), connect().channel()
    channel.queue_declare(queue, durable=True, auto_delete=False)
    channel.basic_publish_confirm(amqp.Message("x"), routing_key=queue)
    refused(amqp.PreconditionFailed, f"queue '{queue}' in vhost '/' not empty", lambda other: other.queue_delete(queue, if_empty=True), 1)
    channel.queue_purge(queue)
    tag = channel.basic_consume(queue)
    refused(amqp.PreconditionFailed, f"queue '{queue}' in vhost '/' in use", lambda other: other.queue_delete(queue, if_unused=True), 1)
    channel.basic_cancel(tag)
    channel.queue_delete(queue, if_unused=True, if_empty=True)
    exchange = name()
    channel.exchange_declare(exchange, "fanout", auto_delete=False)
    channel.queue_bind(channel.queue_declare("", exclusive=True).queue, exchange)
    refused(amqp.PreconditionFailed, f"exchange '{exchange}' in vhost '/' in use", lambda other: other.exchange_delete(exchange, if_unused=True), 1)
    channel.exchange_delete(exchange)


@behaviours.add("a-transaction-is-all-or-nothing")
def _():
    url = urlparse(urls[0])
    connection = amqp.Connection(f"{url.hostname}:{url.port}", url.username, url.password)
    connection.connect()
    queue, channel = name(), connection.channel()
    channel.queue_declare(queue, durable=True, auto_delete=False)
    channel.tx_select()
    for end, wanted in ((channel.tx_rollback, 0), (channel.tx_commit, 2)):
        channel.basic_publish(amqp.Message("1"), routing_key=queue)
        channel.basic_publish(amqp.Message("2"), routing_key=queue)
        check(count(1, queue) == 0, "published before the commit")
        end()
        check(count(1, queue) == wanted, f"not {wanted} messages")
    tag = channel.basic_get(queue).delivery_tag
    channel.basic_ack(tag)
    channel.tx_rollback()
    channel.basic_ack(tag)
    channel.tx_commit()
    channel.close()
    check(connect(1).channel().queue_delete(queue) == 1, "one acknowledged message stays")


@behaviours.add("an-exchange-passes-on-to-a-bound-exchange")
def _():
    channel = connect().channel()
    source, destination, returned = name(), name(), []
    channel.exchange_declare(source, "topic", auto_delete=False)
    channel.exchange_declare(destination, "fanout", auto_delete=False)
    queue = channel.queue_declare("", exclusive=True, auto_delete=False).queue
    channel.queue_bind(queue, destination)
    channel.exchange_bind(destination, source, "a.*")
    channel.basic_publish(amqp.Message("missed"), source, "b.c")
    channel.basic_publish(amqp.Message("routed"), source, "a.b")
    message = drain(channel, queue, 1)[0]
    check(message.body == "routed" and message.delivery_info["exchange"] == source, f"{message.body} {message.delivery_info}")
    channel.exchange_unbind(destination, source, "a.*")
    channel.events["basic_return"].add(lambda *_: returned.append(True))
    channel.basic_publish_confirm(amqp.Message("x"), source, "a.b", mandatory=True)
    check(returned, "routed after the unbind")
    channel.exchange_delete(source)
    channel.exchange_delete(destination)


@behaviours.add("an-alternate-exchange-takes-what-has-no-route")
def _():
    channel = connect().channel()
    exchange, alternate = name(), name()
    channel.exchange_declare(alternate, "fanout", auto_delete=False)
    channel.exchange_declare(exchange, "direct", auto_delete=False, arguments={"alternate-exchange": alternate})
    queue = channel.queue_declare("", exclusive=True, auto_delete=False).queue
    channel.queue_bind(queue, alternate)
    channel.basic_publish(amqp.Message("caught"), exchange, "nobody", mandatory=True)
    check(drain(channel, queue, 1)[0].body == "caught", "another message")
    channel.exchange_delete(exchange)
    channel.exchange_delete(alternate)


@behaviours.add("a-request-is-answered-through-direct-reply-to")
def _():
    queue, client, answers = name(), connect(0), []
    serving, asking = connect(1).channel(), client.channel()
    serving.queue_declare(queue, auto_delete=False)
    asking.basic_consume("amq.rabbitmq.reply-to", no_ack=True, callback=lambda message: answers.append(message.body))
    asking.basic_publish(amqp.Message("2", reply_to="amq.rabbitmq.reply-to"), routing_key=queue)
    request = drain(serving, queue, 1)[0]
    serving.basic_publish(amqp.Message(request.body * 2), routing_key=request.properties["reply_to"])
    while not answers:
        client.drain_events(timeout=10)
    check(answers == ["22"], f"{answers}")
    serving.queue_delete(queue)


behaviours.run()
