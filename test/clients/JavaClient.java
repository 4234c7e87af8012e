// The list of behaviours with the RabbitMQ Java client: arguments are three broker URLs; one line per behaviour on standard output.

import com.rabbitmq.client.*;
import com.rabbitmq.client.impl.LongStringHelper;
import java.nio.charset.StandardCharsets;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;

public class JavaClient {
  interface Action<T> {
    void run(T value) throws Exception;
  }

  static final List<Connection> open = new ArrayList<>();
  static String[] urls;

  static Channel connect(int number) throws Exception {
    ConnectionFactory factory = new ConnectionFactory();
    factory.setUri(urls[number % urls.length]);
    factory.setAutomaticRecoveryEnabled(false);
    Connection connection = factory.newConnection();
    open.add(connection);
    return connection.createChannel();
  }

  static String name() {
    return "clients-" + UUID.randomUUID();
  }

  static void check(boolean condition, String text) {
    if (!condition) throw new AssertionError(text);
  }

  static String exclusiveQueue(Channel channel) throws Exception {
    return channel.queueDeclare("", false, true, false, null).getQueue();
  }

  static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  static <T> T receive(BlockingQueue<T> queue) throws Exception {
    T value = queue.poll(10, TimeUnit.SECONDS);
    check(value != null, "nothing within 10 s");
    return value;
  }

  static List<Delivery> drain(Channel channel, String queue, int count) throws Exception {
    BlockingQueue<Delivery> deliveries = new LinkedBlockingQueue<>();
    String tag = channel.basicConsume(queue, true, new DefaultConsumer(channel) {
      @Override
      public void handleDelivery(String tag, Envelope envelope, AMQP.BasicProperties properties, byte[] body) {
        deliveries.add(new Delivery(envelope, properties, body));
      }
    });
    List<Delivery> taken = new ArrayList<>();
    while (taken.size() < count) taken.add(receive(deliveries));
    channel.basicCancel(tag);
    return taken;
  }

  static void refused(int code, String text, int number, Action<Channel> action) throws Exception {
    Channel channel = connect(number);
    BlockingQueue<ShutdownSignalException> closed = new LinkedBlockingQueue<>();
    channel.addShutdownListener(closed::add);
    try {
      action.run(channel);
    } catch (Exception expected) {
      // The listener hears the reason.
    }
    AMQP.Channel.Close reason = (AMQP.Channel.Close) receive(closed).getReason();
    check(reason.getReplyCode() == code && reason.getReplyText().contains(text), reason.toString());
  }

  static void behaviour(String title, Action<Void> body) {
    try {
      body.run(null);
      System.out.println("ok " + title);
    } catch (Throwable error) {
      int line = Stream.of(error.getStackTrace()).filter(frame -> frame.getClassName().equals("JavaClient")).findFirst()
          .map(StackTraceElement::getLineNumber).orElse(0);
      System.out.println("failed " + title + ": " + error + " " + error.getCause() + " (line " + line + ")");
    }
  }

  static void publishConfirmed(Channel channel, String queue, List<byte[]> bodies) throws Exception {
    channel.confirmSelect();
    for (byte[] body : bodies) channel.basicPublish("", queue, MessageProperties.PERSISTENT_BASIC, body);
    channel.waitForConfirmsOrDie(10_000);
  }

  public static void main(String[] arguments) throws Exception {
    urls = arguments;

    behaviour("publish-through-one-node-consume-through-another", nothing -> {
      String queue = name();
      Channel channel = connect(0);
      channel.queueDeclare(queue, true, false, false, null);
      publishConfirmed(channel, queue, IntStream.range(0, 50).mapToObj(i -> bytes("" + i)).collect(Collectors.toList()));
      List<Delivery> taken = drain(connect(1), queue, 50);
      for (int i = 0; i < 50; i++) check(new String(taken.get(i).body()).equals("" + i), "order at " + i);
      channel.queueDelete(queue);
    });

    behaviour("properties-and-headers-come-back", nothing -> {
      Channel channel = connect(0);
      String queue = channel.queueDeclare().getQueue();
      Map<String, Object> headers = new HashMap<>();
      headers.put("text", LongStringHelper.asLongString("é"));
      headers.put("number", 1L << 40);
      headers.put("true", true);
      headers.put("list", List.of(1, LongStringHelper.asLongString("two")));
      headers.put("table", Map.of("deep", 1.5));
      headers.put("none", null);
      AMQP.BasicProperties sent = new AMQP.BasicProperties.Builder().contentType("text/plain").contentEncoding("utf-8")
          .headers(headers).deliveryMode(2).priority(3).correlationId("c").replyTo("r").expiration("60000").messageId("m")
          .timestamp(new Date(1_700_000_000_000L)).type("t").userId("guest").appId("a").build();
      channel.basicPublish("", queue, sent, new byte[] {0, -1});
      Delivery delivery = drain(channel, queue, 1).get(0);
      check(Arrays.equals(delivery.body(), new byte[] {0, -1}), "body");
      check(delivery.properties().toString().equals(sent.toString()), delivery.properties().toString());
    });

    behaviour("an-unroutable-mandatory-message-is-returned", nothing -> {
      Channel channel = connect(0);
      BlockingQueue<Integer> returned = new LinkedBlockingQueue<>();
      channel.addReturnListener((code, text, exchange, key, properties, body) -> returned.add(code));
      channel.basicPublish("", name(), true, null, bytes("x"));
      check(receive(returned) == 312, "reply code");
    });

    behaviour("a-requeued-message-is-redelivered", nothing -> {
      String queue = name();
      Channel channel = connect(0);
      channel.queueDeclare(queue, true, false, false, null);
      publishConfirmed(channel, queue, List.of(bytes("again")));
      GetResponse got = channel.basicGet(queue, false);
      check(!got.getEnvelope().isRedeliver(), "first delivery is marked redelivered");
      channel.basicNack(got.getEnvelope().getDeliveryTag(), false, true);
      Delivery delivery = drain(channel, queue, 1).get(0);
      check(delivery.envelope().isRedeliver() && new String(delivery.body()).equals("again"), "after nack");
      channel.queueDelete(queue);
    });

    behaviour("prefetch-bounds-what-is-unacknowledged", nothing -> {
      Channel channel = connect(1);
      String queue = channel.queueDeclare(name(), false, false, true, null).getQueue();
      for (int i = 0; i < 10; i++) channel.basicPublish("", queue, null, bytes("" + i));
      channel.basicQos(3);
      BlockingQueue<Long> tags = new LinkedBlockingQueue<>();
      channel.basicConsume(queue, false, new DefaultConsumer(channel) {
        @Override
        public void handleDelivery(String tag, Envelope envelope, AMQP.BasicProperties properties, byte[] body) {
          tags.add(envelope.getDeliveryTag());
        }
      });
      long last = 0;
      for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3; i++) last = receive(tags);
        channel.queueDeclarePassive(queue);
        check(tags.isEmpty(), "more than the prefetch");
        channel.basicAck(last, true);
      }
      channel.queueDelete(queue);
    });

    behaviour("errors-have-the-codes-and-texts-that-clients-match", nothing -> {
      String queue = name();
      Channel owner = connect(0);
      owner.queueDeclare(queue, true, false, false, null);
      refused(404, "NOT_FOUND - no queue '" + queue + "-missing' in vhost '/'", 0, c -> c.queueDeclarePassive(queue + "-missing"));
      refused(406, "inequivalent arg 'durable' for queue '" + queue + "' in vhost '/'", 1, c -> c.queueDeclare(queue, false, false, false, null));
      String exclusive = owner.queueDeclare().getQueue();
      refused(405, "cannot obtain exclusive access to locked queue '" + exclusive + "'", 2, c -> c.queueDeclarePassive(exclusive));
      refused(403, "ACCESS_REFUSED", 0, c -> c.queueDeclare("amq.mine", false, false, false, null));
      refused(406, "PRECONDITION_FAILED - unknown delivery tag 99", 0, c -> c.basicAck(99, false));
      owner.queueDelete(queue);
    });

    behaviour("exchanges-route-by-their-type", nothing -> {
      Channel channel = connect(0);
      String[] queues = {exclusiveQueue(channel), exclusiveQueue(channel)};
      String[][] cases = {{"direct", "a", "b", "a", "c"}, {"topic", "*.x.#", "y.#", "1.x.2.3", "1.z"}, {"fanout", "", "q", "any", null}};
      for (String[] each : cases) {
        String exchange = each[0] + name();
        channel.exchangeDeclare(exchange, each[0], false, true, null);
        for (int i = 0; i < 2; i++) channel.queueBind(queues[i], exchange, each[1 + i]);
        if (each[4] != null) channel.basicPublish(exchange, each[4], null, bytes("missed"));
        channel.basicPublish(exchange, each[3], null, bytes(each[0]));
        check(new String(drain(channel, queues[0], 1).get(0).body()).equals(each[0]), each[0]);
        channel.exchangeDelete(exchange);
      }
      String exchange = name();
      channel.exchangeDeclare(exchange, "headers", false, true, null);
      channel.queueBind(queues[0], exchange, "", Map.of("x-match", "all", "a", 1, "b", "two"));
      for (Map<String, Object> headers : List.of(Map.<String, Object>of("a", 1), Map.<String, Object>of("a", 1, "b", "two", "c", 3))) {
        AMQP.BasicProperties properties = new AMQP.BasicProperties.Builder().headers(headers).build();
        channel.basicPublish(exchange, "", properties, bytes(headers.size() == 3 ? "yes" : "no"));
      }
      check(new String(drain(channel, queues[0], 1).get(0).body()).equals("yes"), "headers");
    });

    behaviour("counts-purge-and-delete", nothing -> {
      String queue = name();
      Channel publisher = connect(0);
      Channel other = connect(1);
      publisher.queueDeclare(queue, true, false, false, null);
      publishConfirmed(publisher, queue, Collections.nCopies(7, bytes("x")));
      check(other.queueDeclarePassive(queue).getMessageCount() == 7, "count");
      check(other.queuePurge(queue).getMessageCount() == 7, "purged");
      publishConfirmed(publisher, queue, List.of(bytes("x")));
      check(other.queueDelete(queue).getMessageCount() == 1, "deleted");
    });

    behaviour("a-consumer-hears-that-its-queue-is-gone", nothing -> {
      String queue = name();
      Channel channel = connect(0);
      channel.queueDeclare(queue, false, false, false, null);
      BlockingQueue<String> cancelled = new LinkedBlockingQueue<>();
      channel.basicConsume(queue, false, new DefaultConsumer(channel) {
        @Override
        public void handleCancel(String tag) {
          cancelled.add(tag);
        }
      });
      connect(1).queueDelete(queue);
      receive(cancelled);
    });

    behaviour("a-message-of-four-mebibytes-passes", nothing -> {
      String queue = name();
      Channel channel = connect(0);
      channel.queueDeclare(queue, true, false, false, null);
      byte[] body = new byte[4 << 20];
      for (int i = 0; i < body.length; i++) body[i] = (byte) i;
      publishConfirmed(channel, queue, List.of(body));
      check(Arrays.equals(drain(connect(1), queue, 1).get(0).body(), body), "another body");
      channel.queueDelete(queue);
    });

    behaviour("what-a-cancelled-consumer-holds-can-be-acknowledged", nothing -> {
      String queue = name();
      Channel channel = connect(1);
      channel.queueDeclare(queue, true, false, false, null);
      publishConfirmed(channel, queue, List.of(bytes("0"), bytes("1"), bytes("2")));
      BlockingQueue<Long> tags = new LinkedBlockingQueue<>();
      String consumer = channel.basicConsume(queue, false, (tag, delivery) -> tags.add(delivery.getEnvelope().getDeliveryTag()), tag -> {});
      long[] held = {receive(tags), receive(tags), receive(tags)};
      channel.basicCancel(consumer);
      channel.basicAck(held[1], false);
      channel.basicNack(held[2], false, false);
      channel.basicReject(held[0], true);
      Delivery delivery = drain(channel, queue, 1).get(0);
      check(delivery.envelope().isRedeliver() && new String(delivery.body()).equals("0"), "after reject");
      check(channel.queueDelete(queue).getMessageCount() == 0, "messages are left");
    });

    behaviour("recover-brings-back-what-is-unacknowledged", nothing -> {
      String queue = name();
      Channel channel = connect(0);
      channel.queueDeclare(queue, true, false, false, null);
      publishConfirmed(channel, queue, List.of(bytes("again")));
      check(!channel.basicGet(queue, false).getEnvelope().isRedeliver(), "first delivery is marked redelivered");
      channel.basicRecover(true);
      Delivery delivery = drain(channel, queue, 1).get(0);
      check(delivery.envelope().isRedeliver() && new String(delivery.body()).equals("again"), "after recover");
      channel.queueDelete(queue);
    });

    behaviour("an-exclusive-consumer-keeps-others-out", nothing -> {
      String queue = name();
      Channel channel = connect(0);
      channel.queueDeclare(queue, true, false, false, null);
      String refusal = "ACCESS_REFUSED - queue '" + queue + "' in vhost '/' in exclusive use";
      String consumer = channel.basicConsume(queue, false, "", false, true, null, new DefaultConsumer(channel));
      refused(403, refusal, 1, c -> c.basicConsume(queue, false, new DefaultConsumer(c)));
      channel.basicCancel(consumer);
      connect(1).basicConsume(queue, false, new DefaultConsumer(channel));
      refused(403, refusal, 2, c -> c.basicConsume(queue, false, "", false, true, null, new DefaultConsumer(c)));
      channel.queueDelete(queue);
    });

    behaviour("an-auto-delete-queue-goes-with-its-last-consumer", nothing -> {
      Channel channel = connect(0);
      String queue = channel.queueDeclare(name(), false, false, true, null).getQueue();
      String first = channel.basicConsume(queue, false, new DefaultConsumer(channel));
      String second = channel.basicConsume(queue, false, new DefaultConsumer(channel));
      channel.basicCancel(first);
      channel.queueDeclarePassive(queue);
      channel.basicCancel(second);
      refused(404, "no queue '" + queue + "'", 0, c -> c.queueDeclarePassive(queue));
    });

    behaviour("a-queue-in-use-or-with-messages-is-not-deleted-on-condition", nothing -> {
      String queue = name();
      Channel channel = connect(0);
      channel.queueDeclare(queue, true, false, false, null);
      publishConfirmed(channel, queue, List.of(bytes("x")));
      refused(406, "queue '" + queue + "' in vhost '/' not empty", 1, c -> c.queueDelete(queue, false, true));
      channel.queuePurge(queue);
      String consumer = channel.basicConsume(queue, false, new DefaultConsumer(channel));
      refused(406, "queue '" + queue + "' in vhost '/' in use", 1, c -> c.queueDelete(queue, true, false));
      channel.basicCancel(consumer);
      channel.queueDelete(queue, true, true);
      String exchange = name();
      channel.exchangeDeclare(exchange, "fanout");
      channel.queueBind(exclusiveQueue(channel), exchange, "");
      refused(406, "exchange '" + exchange + "' in vhost '/' in use", 1, c -> c.exchangeDelete(exchange, true));
      channel.exchangeDelete(exchange);
    });

    behaviour("a-transaction-is-all-or-nothing", nothing -> {
      String queue = name();
      Channel channel = connect(0);
      Channel other = connect(1);
      channel.queueDeclare(queue, true, false, false, null);
      channel.txSelect();
      for (boolean commits : new boolean[] {false, true}) {
        for (String body : List.of("1", "2")) channel.basicPublish("", queue, null, bytes(body));
        check(other.messageCount(queue) == 0, "published before the commit");
        if (commits) channel.txCommit();
        else channel.txRollback();
        check(other.messageCount(queue) == (commits ? 2 : 0), "another count");
      }
      long tag = channel.basicGet(queue, false).getEnvelope().getDeliveryTag();
      channel.basicAck(tag, false);
      channel.txRollback();
      channel.basicAck(tag, false);
      channel.txCommit();
      channel.close();
      check(other.queueDelete(queue).getMessageCount() == 1, "one acknowledged message stays");
    });

    behaviour("an-exchange-passes-on-to-a-bound-exchange", nothing -> {
      String source = name();
      String destination = name();
      Channel channel = connect(0);
      channel.exchangeDeclare(source, "topic");
      channel.exchangeDeclare(destination, "fanout");
      String queue = exclusiveQueue(channel);
      channel.queueBind(queue, destination, "");
      channel.exchangeBind(destination, source, "a.*");
      channel.basicPublish(source, "b.c", null, bytes("missed"));
      channel.basicPublish(source, "a.b", null, bytes("routed"));
      Delivery delivery = drain(channel, queue, 1).get(0);
      check(new String(delivery.body()).equals("routed") && delivery.envelope().getExchange().equals(source), delivery.toString());
      channel.exchangeUnbind(destination, source, "a.*");
      BlockingQueue<Integer> returned = new LinkedBlockingQueue<>();
      channel.addReturnListener((code, text, exchange, key, properties, body) -> returned.add(code));
      channel.basicPublish(source, "a.b", true, null, bytes("x"));
      receive(returned);
      channel.exchangeDelete(source);
      channel.exchangeDelete(destination);
    });

    behaviour("an-alternate-exchange-takes-what-has-no-route", nothing -> {
      String exchange = name();
      String alternate = name();
      Channel channel = connect(0);
      channel.exchangeDeclare(alternate, "fanout");
      channel.exchangeDeclare(exchange, "direct", false, false, Map.of("alternate-exchange", alternate));
      String queue = exclusiveQueue(channel);
      channel.queueBind(queue, alternate, "");
      channel.basicPublish(exchange, "nobody", true, null, bytes("caught"));
      check(new String(drain(channel, queue, 1).get(0).body()).equals("caught"), "another message");
      channel.exchangeDelete(exchange);
      channel.exchangeDelete(alternate);
    });

    behaviour("a-request-is-answered-through-direct-reply-to", nothing -> {
      String queue = name();
      Channel serving = connect(1);
      serving.queueDeclare(queue, false, false, false, null);
      serving.basicConsume(queue, true, (tag, request) -> {
        AMQP.BasicProperties asked = request.getProperties();
        AMQP.BasicProperties sent = new AMQP.BasicProperties.Builder().correlationId(asked.getCorrelationId()).build();
        serving.basicPublish("", asked.getReplyTo(), sent, bytes(new String(request.getBody()).repeat(2)));
      }, tag -> {});
      RpcClient client = new RpcClient(connect(0), "", queue, 10_000);
      check(client.stringCall("2").equals("22"), "another answer");
      serving.queueDelete(queue);
    });

    for (Connection connection : open) connection.abort();
  }

  record Delivery(Envelope envelope, AMQP.BasicProperties properties, byte[] body) {}
}
