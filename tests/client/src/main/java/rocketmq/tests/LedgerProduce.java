package rocketmq.tests;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.MessageQueue;

/** Sends numbered messages as an application does (retries and choice of queue are the client's) and books what is acknowledged. */
final class LedgerProduce {
    /** So many sends of a topic may wait for an answer; with one, a broker that hangs would hold up the others. */
    private static final int THREADS_PER_TOPIC = 4;

    private final Stop stop;
    private final DefaultMQProducer producer;
    private final List<String> topics;
    private final String name = "p" + System.currentTimeMillis();
    private final AtomicLong next = new AtomicLong();
    private final long start = System.currentTimeMillis();
    private final long end;
    private final double intervalMs;
    private final long count;

    private LedgerProduce(Stop stop, DefaultMQProducer producer, Options options) {
        this.stop = stop;
        this.producer = producer;
        topics = Ledger.topics(options);
        intervalMs = 1000.0 / options.number("rate", 200);
        end = start + options.number("seconds", 60) * 1000L;
        count = options.number("count", 0);
    }

    static int run(Stop stop, Options options) throws Exception {
        Ledger ledger = new Ledger(options);
        DefaultMQProducer producer = Clients.producer("ledger");
        try {
            for (String topic : Ledger.topics(options)) {
                Topics.queues(producer, topic, options.number("queues", 8));
            }
            LedgerProduce run = new LedgerProduce(stop, producer, options);
            try (Ledger.Book acked = ledger.open("acked", run.name); Ledger.Book refused = ledger.open("refused", run.name)) {
                run.sendAll(acked, refused);
            }
            try (Ledger.Book done = ledger.open("done", run.name)) {
                done.write(System.currentTimeMillis());
            }
            Map<String, Object> result = Json.object("command", "ledger produce", "producer", run.name);
            result.putAll(ledger.produced(run.name));
            result.put("unusedQueues", run.unusedQueues(ledger));
            Json.print(result);
            return 0;
        } finally {
            producer.shutdown();
        }
    }

    private void sendAll(Ledger.Book acked, Ledger.Book refused) throws InterruptedException {
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < topics.size() * THREADS_PER_TOPIC; i++) {
            Thread thread = new Thread(() -> {
                try {
                    keepSending(acked, refused);
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
            });
            thread.start();
            threads.add(thread);
        }
        for (Thread thread : threads) {
            thread.join();
        }
    }

    private void keepSending(Ledger.Book acked, Ledger.Book refused) throws InterruptedException {
        while (true) {
            long number = next.getAndIncrement();
            long moment = start + (long) (number * intervalMs);
            if ((count > 0 && number >= count) || moment > end || System.currentTimeMillis() > end || !stop.waitUntil(moment)) {
                return;
            }
            String topic = topics.get((int) (number % topics.size()));
            String id = name + "/" + topic + "/" + number;
            try {
                SendResult result = producer.send(Clients.message(topic, id));
                MessageQueue queue = result.getMessageQueue();
                if (result.getSendStatus() == SendStatus.SEND_OK) {
                    acked.write(System.currentTimeMillis(), id, queue.getBrokerName(), queue.getQueueId());
                } else {
                    refused.write(System.currentTimeMillis(), result.getSendStatus(), id);
                }
            } catch (InterruptedException e) {
                throw e;
            } catch (Exception e) {
                refused.write(System.currentTimeMillis(), Clients.name(e), id);
            }
        }
    }

    /** Per topic, the writable queues that no acknowledged message went to. */
    private Map<String, Object> unusedQueues(Ledger ledger) throws Exception {
        Map<String, Object> unused = new TreeMap<>();
        for (String topic : topics) {
            TreeSet<String> queues = new TreeSet<>();
            Topics.queues(producer, topic, 0).forEach(queue -> queues.add(queue.getBrokerName() + "/" + queue.getQueueId()));
            for (String[] entry : ledger.read("acked", name)) {
                if (entry[1].split("/")[1].equals(topic)) {
                    queues.remove(entry[2] + "/" + entry[3]);
                }
            }
            if (!queues.isEmpty()) {
                unused.put(topic, queues);
            }
        }
        return unused;
    }
}
