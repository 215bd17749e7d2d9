package rocketmq.tests;

import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;

/** Receives until a number of distinct bodies have come. */
final class Receive {
    private Receive() {
    }

    static int run(Stop stop, Options options) throws Exception {
        String topic = options.text("topic");
        String group = options.text("group");
        String prefix = options.text("bodies", "");
        int expect = Integer.parseInt(options.text("expect"));
        long start = System.currentTimeMillis();
        long deadline = start + options.number("timeout-s", 60) * 1000L;

        Set<String> distinct = ConcurrentHashMap.newKeySet();
        AtomicLong received = new AtomicLong();
        Map<String, Long> perBroker = new ConcurrentHashMap<>();
        DefaultMQPushConsumer consumer = Clients.consumer(group, List.of(topic), message -> {
            String body = Clients.body(message);
            if (body.startsWith(prefix)) {
                received.incrementAndGet();
                perBroker.merge(message.getBrokerName(), 1L, Long::sum);
                distinct.add(body);
            }
        });
        while (distinct.size() < expect && System.currentTimeMillis() < deadline) {
            if (!stop.waitUntil(System.currentTimeMillis() + 100)) {
                break;
            }
        }
        consumer.shutdown();
        boolean complete = distinct.size() >= expect;
        Json.print(Json.object("command", "receive", "topic", topic, "group", group, "expected", expect, "distinct", distinct.size(),
            "received", received.get(), "complete", complete, "brokers", new TreeMap<>(perBroker),
            "elapsedMs", System.currentTimeMillis() - start));
        return complete ? 0 : 1;
    }
}
