// The Java client's automatic recovery over the death of the node that it is connected to: arguments are three broker URLs;
// `kill N` on standard output asks for kill -9 of a node; one line per behaviour on standard output.

import com.rabbitmq.client.*;
import java.nio.charset.StandardCharsets;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;

public class JavaRecovery {
  static final long RECOVERY_SECONDS = 60;
  static String[] urls;

  interface Action {
    void run() throws Exception;
  }

  static void behaviour(String title, Action body) {
    try {
      body.run();
      System.out.println("ok " + title);
    } catch (Throwable error) {
      System.out.println("failed " + title + ": " + error + " " + error.getCause());
    }
  }

  static byte[] bytes(int number) {
    return Integer.toString(number).getBytes(StandardCharsets.UTF_8);
  }

  static Address address(String url) {
    return Address.parseAddress(url.substring(url.indexOf('@') + 1));
  }

  static Connection connect() throws Exception {
    ConnectionFactory factory = new ConnectionFactory();
    factory.setUri(urls[0]);
    factory.setNetworkRecoveryInterval(500);
    factory.setRequestedHeartbeat(2);
    return factory.newConnection(Stream.of(urls).map(JavaRecovery::address).collect(Collectors.toList()));
  }

  /** Kills the node of the connection, and returns when the connection is there again on whatever node. */
  static void killItsNode(Connection connection) throws Exception {
    CountDownLatch recovered = new CountDownLatch(1);
    ((Recoverable) connection).addRecoveryListener(new RecoveryListener() {
      @Override
      public void handleRecovery(Recoverable recoverable) {
        recovered.countDown();
      }

      @Override
      public void handleRecoveryStarted(Recoverable recoverable) {}
    });
    int port = connection.getPort();
    for (int i = 0; i < urls.length; i++) if (address(urls[i]).getPort() == port) System.out.println("kill " + i);
    if (!recovered.await(RECOVERY_SECONDS, TimeUnit.SECONDS)) throw new AssertionError("no recovery");
  }

  static void until(String what, Callable<Boolean> condition) throws Exception {
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(RECOVERY_SECONDS);
    while (!condition.call()) {
      if (System.nanoTime() > end) throw new AssertionError("no " + what);
      Thread.sleep(20);
    }
  }

  public static void main(String[] arguments) throws Exception {
    urls = arguments;

    behaviour("a-consumer-and-its-publisher-go-on-after-their-node-was-killed", () -> {
      Connection connection = connect();
      Channel channel = connection.createChannel();
      String queue = "clients-" + UUID.randomUUID();
      channel.queueDeclare(queue, true, false, false, null);
      Set<Integer> received = ConcurrentHashMap.newKeySet();
      channel.basicQos(10);
      channel.basicConsume(queue, false, (tag, delivery) -> {
        received.add(Integer.parseInt(new String(delivery.getBody())));
        channel.basicAck(delivery.getEnvelope().getDeliveryTag(), false);
      }, tag -> {});
      channel.confirmSelect();
      for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 50; i++) channel.basicPublish("", queue, MessageProperties.PERSISTENT_BASIC, bytes(round * 50 + i));
        channel.waitForConfirmsOrDie(30_000);
        if (round == 0) killItsNode(connection);
      }
      until("100 messages", () -> received.size() == 100);
      channel.queueDelete(queue);
      connection.close();
    });

    behaviour("server-named-queues-bindings-and-consumers-are-recovered", () -> {
      Connection connection = connect();
      Channel channel = connection.createChannel();
      String exchange = "clients-" + UUID.randomUUID();
      // Not auto-delete: it could go with the dead connection's queue just after it was declared again.
      channel.exchangeDeclare(exchange, "topic");
      String queue = channel.queueDeclare().getQueue();
      channel.queueBind(queue, exchange, "a.#");
      BlockingQueue<String> received = new LinkedBlockingQueue<>();
      channel.basicConsume(queue, true, (tag, delivery) -> received.add(new String(delivery.getBody())), tag -> {});
      channel.basicPublish(exchange, "a.b", null, bytes(1));
      until("first message", () -> "1".equals(received.poll()));
      killItsNode(connection);
      channel.basicPublish(exchange, "a.c", null, bytes(2));
      until("message after the kill", () -> "2".equals(received.poll()));
      channel.exchangeDelete(exchange);
      connection.close();
    });

    System.exit(0);
  }
}
