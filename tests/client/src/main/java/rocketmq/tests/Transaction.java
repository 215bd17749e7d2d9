package rocketmq.tests;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** One message of a transaction that stays undecided for a while, whenever the broker asks, and is committed then. */
final class Transaction {
    /** The answer goes out after the listener has returned, and nobody tells when. */
    private static final long ANSWERING_MS = 5_000;

    private Transaction() {
    }

    static int run(Stop stop, Options options) throws Exception {
        String topic = options.text("topic");
        String body = options.text("body");
        long start = System.currentTimeMillis();
        long decision = start + options.number("undecided-s", 60) * 1000L;
        long deadline = start + options.number("timeout-s", 600) * 1000L;
        AtomicInteger asked = new AtomicInteger();
        CountDownLatch committed = new CountDownLatch(1);

        TransactionMQProducer producer = new TransactionMQProducer("tests-transaction");
        producer.setInstanceName("transaction-" + System.nanoTime());
        producer.setTransactionListener(new TransactionListener() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
                return LocalTransactionState.UNKNOW;
            }

            @Override
            public LocalTransactionState checkLocalTransaction(MessageExt message) {
                asked.incrementAndGet();
                if (System.currentTimeMillis() < decision) {
                    return LocalTransactionState.UNKNOW;
                }
                committed.countDown();
                return LocalTransactionState.COMMIT_MESSAGE;
            }
        });
        producer.start();
        String status;
        try {
            status = producer.sendMessageInTransaction(Clients.message(topic, body), null).getSendStatus().name();
            Json.print(Json.object("event", "undecided", "status", status));
            while (!committed.await(100, TimeUnit.MILLISECONDS) && !stop.asked() && System.currentTimeMillis() < deadline) {
                continue;
            }
            stop.waitUntil(System.currentTimeMillis() + ANSWERING_MS);
        } finally {
            producer.shutdown();
        }
        boolean done = committed.getCount() == 0;
        Json.print(Json.object("command", "transaction", "topic", topic, "status", status, "asked", asked.get(), "committed", done));
        return done ? 0 : 1;
    }
}
