package rocketmq.tests;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.exception.RemotingException;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** Topics: made where they are missing, and their writable queues. */
final class Topics {
    /** Within this a cluster that has just started answers, however busy its node is. */
    private static final long ROUTE_MS = 120_000;
    private static final int READ_AND_WRITE = 6;

    private Topics() {
    }

    static int run(Options options) throws Exception {
        String topic = options.text("topic");
        DefaultMQProducer producer = Clients.producer("topic");
        try {
            create(topic, options.number("queues", 4));
            Json.print(Json.object("command", "topic", "topic", topic, "queues", perBroker(queues(producer, topic, 0))));
            return 0;
        } finally {
            producer.shutdown();
        }
    }

    /** The topic's writable queues, in order. If no name server knows it, it is made on every master. */
    static List<MessageQueue> queues(DefaultMQProducer producer, String topic, int ifMissing) throws Exception {
        long deadline = System.currentTimeMillis() + ROUTE_MS;
        boolean made = ifMissing == 0;
        while (true) {
            try {
                List<MessageQueue> queues = new ArrayList<>(producer.fetchPublishMessageQueues(topic));
                // queue 0 of every broker, then queue 1, and so on: consecutive messages go to different brokers
                queues.sort(Comparator.comparing(MessageQueue::getQueueId).thenComparing(MessageQueue::getBrokerName));
                return queues;
            } catch (MQClientException e) {
                if (System.currentTimeMillis() > deadline) {
                    throw e;
                }
            }
            if (!made) {
                try {
                    create(topic, ifMissing);
                    made = true;
                } catch (MQClientException | MQBrokerException | RemotingException e) {
                    if (System.currentTimeMillis() > deadline) {
                        throw e;
                    }
                }
            }
            Thread.sleep(200);
        }
    }

    static Map<String, Integer> perBroker(List<MessageQueue> queues) {
        Map<String, Integer> count = new TreeMap<>();
        queues.forEach(queue -> count.merge(queue.getBrokerName(), 1, Integer::sum));
        return count;
    }

    private static void create(String topic, int queues) throws Exception {
        DefaultMQAdminExt admin = new DefaultMQAdminExt(5_000);
        admin.setInstanceName("topics-" + System.nanoTime());
        admin.start();
        try {
            for (var broker : admin.examineBrokerClusterInfo().getBrokerAddrTable().values()) {
                String master = broker.getBrokerAddrs().get(0L);
                if (master != null) {
                    admin.createAndUpdateTopicConfig(master, new TopicConfig(topic, queues, queues, READ_AND_WRITE));
                }
            }
        } finally {
            admin.shutdown();
        }
    }
}
