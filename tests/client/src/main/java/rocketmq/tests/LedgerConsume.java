package rocketmq.tests;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;

/**
 * Books what each group receives until every group has all that the producers, once they have ended, booked as acknowledged, or
 * nothing arrives any more.
 */
final class LedgerConsume {
    private static final long LOOK_MS = 500;

    private LedgerConsume() {
    }

    static int run(Stop stop, Options options) throws Exception {
        Ledger ledger = new Ledger(options);
        List<String> topics = Ledger.topics(options);
        long deadline = System.currentTimeMillis() + options.number("timeout-s", 120) * 1000L;
        long idleMs = options.number("idle-s", 0) * 1000L;
        AtomicLong lastArrival = new AtomicLong(System.currentTimeMillis());
        String name = "c" + System.currentTimeMillis();

        Map<String, Set<String>> received = new TreeMap<>();
        List<DefaultMQPushConsumer> consumers = new ArrayList<>();
        List<Ledger.Book> books = new ArrayList<>();
        for (String group : options.list("groups", "g1,g2")) {
            Set<String> ids = ConcurrentHashMap.newKeySet();
            received.put(group, ids);
            for (String[] entry : ledger.read("received", group + "-")) {
                ids.add(entry[0]); // by an earlier run of this group
            }
            Ledger.Book book = ledger.open("received", group + "-" + name);
            books.add(book);
            consumers.add(Clients.consumer(group, topics, message -> {
                book.write(Clients.body(message));
                ids.add(Clients.body(message));
                lastArrival.set(System.currentTimeMillis());
            }));
        }

        Set<String> acknowledged = null;
        boolean complete = false;
        boolean idle = false;
        while (!complete && !idle && System.currentTimeMillis() < deadline && stop.waitUntil(System.currentTimeMillis() + LOOK_MS)) {
            if (acknowledged == null && ledger.producersDone()) {
                acknowledged = ledger.acknowledged();
                lastArrival.set(System.currentTimeMillis());
            }
            if (acknowledged != null) {
                complete = hasAll(received, acknowledged);
                idle = idleMs > 0 && System.currentTimeMillis() - lastArrival.get() > idleMs;
            }
        }
        consumers.forEach(DefaultMQPushConsumer::shutdown);
        for (Ledger.Book book : books) {
            book.close();
        }
        Map<String, Integer> distinct = new TreeMap<>();
        received.forEach((group, ids) -> distinct.put(group, ids.size()));
        Json.print(Json.object("command", "ledger consume", "complete", complete, "distinct", distinct));
        return complete ? 0 : 1;
    }
    private static boolean hasAll(Map<String, Set<String>> received, Set<String> acknowledged) {
        return received.values().stream().allMatch(ids -> ids.containsAll(acknowledged));
    }
}
