package rocketmq.tests;

import java.util.List;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.MessageQueue;

/** Sends a number of messages, each once, to every queue in turn, and counts what became of them. */
final class Send {
    private Send() {
    }

    static int run(Stop stop, Options options) throws Exception {
        String topic = options.text("topic");
        String bodies = options.text("bodies", topic + "-" + System.currentTimeMillis());
        int count = options.number("count", 100);
        int timeoutMs = options.number("timeout-ms", 3000);
        long start = System.currentTimeMillis();
        long deadline = start + options.number("timeout-s", 120) * 1000L;

        DefaultMQProducer producer = Clients.producer("send");
        Tally tally = new Tally();
        int sent = 0;
        try {
            List<MessageQueue> queues = Topics.queues(producer, topic, options.number("queues", 4));
            for (; sent < count && !stop.asked() && System.currentTimeMillis() < deadline; sent++) {
                MessageQueue queue = queues.get(sent % queues.size());
                String outcome;
                try {
                    outcome = producer.send(Clients.message(topic, bodies + "-" + sent), queue, timeoutMs).getSendStatus().name();
                } catch (InterruptedException e) {
                    throw e;
                } catch (Exception e) {
                    outcome = Clients.name(e);
                }
                tally.add(queue.getBrokerName(), outcome);
            }
        } finally {
            producer.shutdown();
        }
        Json.print(Json.object("command", "send", "topic", topic, "bodies", bodies, "sent", sent, "outcomes", tally.total(),
            "brokers", tally.perBroker(), "elapsedMs", System.currentTimeMillis() - start));
        return sent == count ? 0 : 1;
    }
}
