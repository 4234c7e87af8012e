"""The list of behaviours (behaviours.ts) with kombu: arguments are three broker URLs; one line per behaviour on standard output."""

import socket
import sys

from amqp import exceptions
from kombu import Connection, Consumer, Exchange, Producer, Queue, binding

from behaviours import Behaviours, check, name

urls = sys.argv[1:4]
behaviours = Behaviours()


def connect(number=0):
    connection = Connection(urls[number % len(urls)], transport_options={"confirm_publish": True})
    connection.connect()
    return connection


def declared(connection, **options):
    queue = Queue(name(), **{"durable": True, **options})(connection.default_channel)
    queue.declare()
    return queue


def drain(connection, queue, count):
    messages = []
    with Consumer(connection, [queue], on_message=messages.append, no_ack=True, auto_declare=False, accept=None):
        while len(messages) < count:
            connection.drain_events(timeout=10)
    return messages


@behaviours.add("publish-through-one-node-consume-through-another")
def _():
    connection, other = connect(), connect(1)
    queue, producer = declared(connection), Producer(connection)
    for i in range(50):
        producer.publish({"number": i}, routing_key=queue.name)
    numbers = [message.decode()["number"] for message in drain(other, queue, 50)]
    check(numbers == list(range(50)), f"order {numbers}")
    queue.delete()


@behaviours.add("properties-and-headers-come-back")
def _():
    connection = connect()
    queue = declared(connection)
    headers = {"text": "é", "number": 2**40, "true": True, "list": [1, "two"], "table": {"deep": 1.5}, "none": None}
    sent = {"correlation_id": "c", "reply_to": "r", "message_id": "m", "type": "t", "user_id": "guest", "app_id": "a", "priority": 3}
    Producer(connection).publish(b"\x00\xff", routing_key=queue.name, headers=headers, expiration=60, **sent)
    message = drain(connection, queue, 1)[0]
    check(bytes(message.body) == b"\x00\xff", f"body {message.body}")
    check(message.headers == headers, f"headers {message.headers}")
    for key, value in {**sent, "expiration": "60000"}.items():
        check(message.properties[key] == value, f"{key}: {message.properties[key]}")
    queue.delete()


@behaviours.add("an-unroutable-mandatory-message-is-returned")
def _():
    returned = []
    producer = Producer(connect(), on_return=lambda error, *_: returned.append(error.reply_code))
    producer.publish("x", routing_key=name(), mandatory=True)
    check(returned == [312], f"returned {returned}")


@behaviours.add("a-requeued-message-is-redelivered")
def _():
    connection = connect()
    queue = declared(connection)
    Producer(connection).publish("again", routing_key=queue.name)
    message = queue.get()
    check(not message.delivery_info["redelivered"], "first delivery is marked redelivered")
    message.requeue()
    message = drain(connection, queue, 1)[0]
    check(message.delivery_info["redelivered"] and message.body == "again", "after requeue")
    queue.delete()


@behaviours.add("prefetch-bounds-what-is-unacknowledged")
def _():
    connection = connect(1)
    queue, producer, messages = declared(connection), Producer(connection), []
    for i in range(10):
        producer.publish(i, routing_key=queue.name)

    def receive(count):
        while len(messages) < count:
            connection.drain_events(timeout=10)
        try:
            connection.drain_events(timeout=0.5)
        except socket.timeout:
            pass
        check(len(messages) == count, f"{len(messages)} messages instead of {count}")

    with Consumer(connection, [queue], on_message=messages.append, prefetch_count=3, auto_declare=False):
        receive(3)
        for message in messages[:3]:
            message.ack()
        receive(6)
    queue.delete()


def refused(error, text, action, number=0):
    try:
        action(connect(number).default_channel)
    except error as refusal:
        check(text in refusal.reply_text, refusal.reply_text)
        return
    check(False, f"not refused; wanted {error.__name__}")


@behaviours.add("errors-have-the-codes-and-texts-that-clients-match")
def _():
    owner = connect()
    queue = declared(owner)
    missing = f"{queue.name}-missing"
    refused(exceptions.NotFound, f"NOT_FOUND - no queue '{missing}' in vhost '/'", lambda c: Queue(missing, channel=c).queue_declare(passive=True))
    refused(exceptions.PreconditionFailed, f"inequivalent arg 'durable' for queue '{queue.name}' in vhost '/'",
            lambda c: Queue(queue.name, durable=False, channel=c).queue_declare(), 1)
    exclusive = declared(owner, exclusive=True).name
    refused(exceptions.ResourceLocked, f"cannot obtain exclusive access to locked queue '{exclusive}'",
            lambda c: Queue(exclusive, exclusive=True, channel=c).queue_declare(passive=True), 2)
    refused(exceptions.AccessRefused, "ACCESS_REFUSED", lambda c: Queue("amq.mine", channel=c).queue_declare())

    def unknown_tag(channel):
        channel.basic_ack(99)
        Queue(queue.name, channel=channel).queue_declare(passive=True)

    refused(exceptions.PreconditionFailed, "PRECONDITION_FAILED - unknown delivery tag 99", unknown_tag)
    queue.delete()


@behaviours.add("exchanges-route-by-their-type")
def _():
    connection = connect()
    producer = Producer(connection)
    for kind, keys, routed, missed in (
        ("direct", ("a", "b"), "a", "c"), ("topic", ("*.x.#", "y.#"), "1.x.2.3", "1.z"), ("fanout", ("", "q"), "any", None),
    ):
        exchange = Exchange(name(), kind, durable=False, auto_delete=True)
        queues = [declared(connection, exchange=exchange, routing_key=key, exclusive=True) for key in keys]
        if missed is not None:
            producer.publish("missed", exchange=exchange, routing_key=missed)
        producer.publish(kind, exchange=exchange, routing_key=routed)
        check(drain(connection, queues[0], 1)[0].body == kind, kind)
    exchange = Exchange(name(), "headers", durable=False, auto_delete=True)
    bindings = [binding(exchange, arguments={"x-match": "all", "a": 1, "b": "two"})]
    queue = declared(connection, bindings=bindings, exclusive=True)
    producer.publish("no", exchange=exchange, headers={"a": 1})
    producer.publish("yes", exchange=exchange, headers={"a": 1, "b": "two", "c": 3})
    check(drain(connection, queue, 1)[0].body == "yes", "headers")


@behaviours.add("counts-purge-and-delete")
def _():
    connection = connect()
    queue, producer = declared(connection), Producer(connection)
    other = Queue(queue.name, channel=connect(1).default_channel)
    for _ in range(7):
        producer.publish("x", routing_key=queue.name)
    check(other.queue_declare(passive=True).message_count == 7, "count")
    check(other.purge() == 7, "purged")
    producer.publish("x", routing_key=queue.name)
    check(other.delete() == 1, "deleted")


@behaviours.add("a-consumer-hears-that-its-queue-is-gone")
def _():
    connection = connect()
    queue, cancelled = declared(connection), []
    queue.consume(callback=lambda message: None)
    channel = connection.default_channel
    channel.cancel_callbacks[next(iter(channel.callbacks))] = cancelled.append
    Queue(queue.name, channel=connect(1).default_channel).delete()
    connection.drain_events(timeout=10)
    check(len(cancelled) == 1, "no basic.cancel")


@behaviours.add("a-message-of-four-mebibytes-passes")
def _():
    connection = connect()
    queue, body = declared(connection), bytes(range(256)) * 16_384
    Producer(connection).publish(body, routing_key=queue.name)
    check(bytes(drain(connect(1), queue, 1)[0].body) == body, "another body")
    queue.delete()


def count(number, name):
    return Queue(name, channel=connect(number).default_channel).queue_declare(passive=True).message_count


@behaviours.add("what-a-cancelled-consumer-holds-can-be-acknowledged")
def _():
    connection = connect(1)
    queue, held = declared(connection), []
    for i in range(3):
        Producer(connection).publish(str(i), routing_key=queue.name)
    with Consumer(connection, [queue], on_message=held.append, auto_declare=False):
        while len(held) < 3:
            connection.drain_events(timeout=10)
    held[1].ack()
    held[2].reject()
    held[0].requeue()
    message = drain(connection, queue, 1)[0]
    check(message.delivery_info["redelivered"] and message.body == "0", f"{message.body} came back")
    check(queue.delete() == 0, "messages are left")


@behaviours.add("recover-brings-back-what-is-unacknowledged")
def _():
    connection = connect()
    queue, held = declared(connection), []
    Producer(connection).publish("again", routing_key=queue.name)
    with Consumer(connection, [queue], on_message=held.append, auto_declare=False) as consumer:
        for _ in range(2):
            connection.drain_events(timeout=10)
            consumer.recover(requeue=True)
    redelivered = [message.delivery_info["redelivered"] for message in held[:2]]
    check(redelivered == [False, True], f"redelivered {redelivered}")
    queue.delete()


@behaviours.add("an-exclusive-consumer-keeps-others-out")
def _():
    connection, second = connect(), connect(1)
    queue = declared(connection)
    refusal = f"ACCESS_REFUSED - queue '{queue.name}' in vhost '/' in exclusive use"
    connection.default_channel.basic_consume(queue.name, consumer_tag="first", exclusive=True)
    refused(exceptions.AccessRefused, refusal, lambda c: c.basic_consume(queue.name), 1)
    queue.cancel("first")
    second.default_channel.basic_consume(queue.name)
    refused(exceptions.AccessRefused, refusal, lambda c: c.basic_consume(queue.name, exclusive=True), 2)
    second.release()
    queue.delete()


@behaviours.add("an-auto-delete-queue-goes-with-its-last-consumer")
def _():
    queue = declared(connect(), durable=False, auto_delete=True)
    for tag in ("first", "second"):
        queue.consume(tag, callback=lambda message: None)
    queue.cancel("first")
    queue.queue_declare(passive=True)
    queue.cancel("second")
    refused(exceptions.NotFound, f"no queue '{queue.name}'", lambda c: Queue(queue.name, channel=c).queue_declare(passive=True))


@behaviours.add("a-queue-in-use-or-with-messages-is-not-deleted-on-condition")
def _():
    connection = connect()
    queue = declared(connection)
    Producer(connection).publish("x", routing_key=queue.name)
    refused(exceptions.PreconditionFailed, f"queue '{queue.name}' in vhost '/' not empty", lambda c: Queue(queue.name, channel=c).delete(if_empty=True), 1)
    queue.purge()
    queue.consume("user", callback=lambda message: None)
    refused(exceptions.PreconditionFailed, f"queue '{queue.name}' in vhost '/' in use", lambda c: Queue(queue.name, channel=c).delete(if_unused=True), 1)
    queue.cancel("user")
    queue.delete(if_unused=True, if_empty=True)
    exchange = Exchange(name(), "fanout", durable=False)
    declared(connection, exchange=exchange, exclusive=True)
    refused(exceptions.PreconditionFailed, f"exchange '{exchange.name}' in vhost '/' in use", lambda c: exchange(c).delete(if_unused=True), 1)
    exchange(connection.default_channel).delete()


@behaviours.add("a-transaction-is-all-or-nothing")
def _():
    connection = Connection(urls[0])
    channel = connection.default_channel
    queue, producer = declared(connection), Producer(channel)
    channel.tx_select()
    for end, wanted in ((channel.tx_rollback, 0), (channel.tx_commit, 2)):
        producer.publish("1", routing_key=queue.name)
        producer.publish("2", routing_key=queue.name)
        check(count(1, queue.name) == 0, "published before the commit")
        end()
        check(count(1, queue.name) == wanted, f"not {wanted} messages")
    message = queue.get()
    message.ack()
    channel.tx_rollback()
    channel.basic_ack(message.delivery_tag)
    channel.tx_commit()
    connection.release()
    check(Queue(queue.name, channel=connect(1).default_channel).delete() == 1, "one acknowledged message stays")


@behaviours.add("an-exchange-passes-on-to-a-bound-exchange")
def _():
    connection, returned = connect(), []
    channel = connection.default_channel
    source = Exchange(name(), "topic", durable=False)(channel)
    destination = Exchange(name(), "fanout", durable=False)(channel)
    source.declare()
    queue = declared(connection, exchange=destination, exclusive=True)
    destination.bind_to(source, routing_key="a.*")
    producer = Producer(connection, on_return=lambda *_: returned.append(True))
    producer.publish("missed", exchange=source, routing_key="b.c")
    producer.publish("routed", exchange=source, routing_key="a.b")
    message = drain(connection, queue, 1)[0]
    check(message.body == "routed" and message.delivery_info["exchange"] == source.name, f"{message.body} {message.delivery_info}")
    destination.unbind_from(source, routing_key="a.*")
    producer.publish("x", exchange=source, routing_key="a.b", mandatory=True)
    check(returned, "routed after the unbind")
    source.delete()
    destination.delete()


@behaviours.add("an-alternate-exchange-takes-what-has-no-route")
def _():
    connection = connect()
    alternate = Exchange(name(), "fanout", durable=False)
    queue = declared(connection, exchange=alternate, exclusive=True)
    exchange = Exchange(name(), "direct", durable=False, arguments={"alternate-exchange": alternate.name})(connection.default_channel)
    exchange.declare()
    Producer(connection).publish("caught", exchange=exchange, routing_key="nobody", mandatory=True)
    check(drain(connection, queue, 1)[0].body == "caught", "another message")
    exchange.delete()
    alternate(connection.default_channel).delete()


@behaviours.add("a-request-is-answered-through-direct-reply-to")
def _():
    client, server, answers = connect(0), connect(1), []
    queue = declared(server)
    with Consumer(client, [Queue("amq.rabbitmq.reply-to", no_ack=True)], on_message=answers.append, no_ack=True, auto_declare=False):
        Producer(client.default_channel).publish("2", routing_key=queue.name, reply_to="amq.rabbitmq.reply-to")
        request = drain(server, queue, 1)[0]
        Producer(server).publish(request.body * 2, routing_key=request.properties["reply_to"])
        client.drain_events(timeout=10)
    check([answer.body for answer in answers] == ["22"], f"{answers}")
    queue.delete()


behaviours.run()
