package rocketmq.tests;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.MessageQueue;

/** Keeps sending to each broker from a thread of its own, through one client, and tells when each stopped and resumed serving. */
final class Probe {
    private static final long ROUTE_MS = 30_000;

    private Probe() {
    }

    static int run(Stop stop, Options options) throws Exception {
        String topic = options.text("topic");
        String only = options.text("broker", "");
        int timeoutMs = options.number("timeout-ms", 1000);
        long seconds = options.number("seconds", 60);

        DefaultMQProducer producer = Clients.producer("probe");
        Map<String, List<MessageQueue>> queues = queuesOf(only, topic, producer, options.number("queues", 4));
        double intervalMs = 1000.0 * queues.size() / options.number("rate", 50);
        long start = System.currentTimeMillis();
        Json.print(Json.object("event", "start", "at", start, "brokers", queues.keySet()));

        Map<String, History> histories = new TreeMap<>();
        List<Thread> threads = new ArrayList<>();
        for (var each : queues.entrySet()) {
            History history = new History(each.getKey(), start);
            histories.put(each.getKey(), history);
            Thread thread = new Thread(() -> keepSending(stop, producer, each.getValue(), timeoutMs, intervalMs, seconds, history));
            thread.start();
            threads.add(thread);
        }
        for (Thread thread : threads) {
            thread.join();
        }
        producer.shutdown();
        Map<String, Object> results = new TreeMap<>();
        histories.forEach((broker, history) -> results.put(broker, history.result()));
        Json.print(Json.object("command", "probe", "topic", topic, "from", start, "to", System.currentTimeMillis(), "brokers", results));
        return 0;
    }

    /** The writable queues per broker; a broker that is asked for by name is waited for. */
    private static Map<String, List<MessageQueue>> queuesOf(String only, String topic, DefaultMQProducer producer, int ifMissing)
        throws Exception {
        long deadline = System.currentTimeMillis() + ROUTE_MS;
        while (true) {
            Map<String, List<MessageQueue>> queues = Topics.queues(producer, topic, ifMissing).stream()
                .filter(queue -> only.isEmpty() || queue.getBrokerName().equals(only))
                .collect(Collectors.groupingBy(MessageQueue::getBrokerName, TreeMap::new, Collectors.toList()));
            if (!queues.isEmpty()) {
                return queues;
            }
            if (System.currentTimeMillis() > deadline) {
                producer.shutdown();
                throw new IllegalStateException(only + " has no writable queue of " + topic);
            }
            Thread.sleep(200);
        }
    }

    private static void keepSending(Stop stop, DefaultMQProducer producer, List<MessageQueue> queues, int timeoutMs,
        double intervalMs, long seconds, History history) {
        try {
            for (int i = 0; i * intervalMs < seconds * 1000; i++) {
                // no catching up: after a send that hung, the next one follows at once and then the pace is kept again
                if (!stop.waitUntil(history.lastAttempt() + (long) intervalMs) || history.age() > seconds * 1000) {
                    break;
                }
                MessageQueue queue = queues.get(i % queues.size());
                history.attempt();
                try {
                    SendResult result = producer.send(Clients.message(queue.getTopic(), "probe-" + i), queue, timeoutMs);
                    history.outcome(result.getSendStatus() == SendStatus.SEND_OK ? null : result.getSendStatus().name());
                } catch (InterruptedException e) {
                    throw e;
                } catch (Exception e) {
                    history.outcome(Clients.name(e));
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        history.end();
    }

    /** What one broker answered, written by one thread. */
    private static final class History {
        private final String broker;
        private final long start;
        private final List<Map<String, Object>> changes = new ArrayList<>();
        private long lastAttempt;
        private long lastOk;
        private long longestGapMs;
        private long ok;
        private long failed;
        private boolean failing;

        History(String broker, long start) {
            this.broker = broker;
            this.start = start;
            this.lastOk = start;
            this.lastAttempt = start;
        }

        long lastAttempt() {
            return lastAttempt;
        }

        long age() {
            return System.currentTimeMillis() - start;
        }

        void attempt() {
            lastAttempt = System.currentTimeMillis();
        }

        void outcome(String error) {
            long now = System.currentTimeMillis();
            if (error == null) {
                ok++;
                longestGapMs = Math.max(longestGapMs, now - lastOk);
                lastOk = now;
            } else {
                failed++;
            }
            if (failing != (error != null)) {
                failing = error != null;
                Map<String, Object> change = Json.object("to", failing ? "fail" : "ok", "at", now);
                if (failing) {
                    change.put("error", error);
                }
                changes.add(change);
                Map<String, Object> event = Json.object("event", "change", "broker", broker);
                event.putAll(change);
                Json.print(event);
            }
        }

        void end() {
            longestGapMs = Math.max(longestGapMs, System.currentTimeMillis() - lastOk);
        }

        Map<String, Object> result() {
            return Json.object("ok", ok, "failed", failed, "longestGapMs", longestGapMs, "lastOk", lastOk, "changes", changes);
        }
    }
}
