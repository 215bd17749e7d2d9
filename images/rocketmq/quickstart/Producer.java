package org.apache.rocketmq.example.quickstart;

import java.nio.charset.StandardCharsets;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;

/**
 * Sends 1000 messages to the topic TopicTest and prints each result. The name servers come from NAMESRV_ADDR.
 * For the RocketMQ versions whose own example of this name was not published.
 */
public final class Producer {
    private static final int MESSAGES = 1000;

    private Producer() {
    }

    public static void main(String[] args) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("please_rename_unique_group_name");
        producer.start();
        for (int i = 0; i < MESSAGES; i++) {
            byte[] body = ("Hello RocketMQ " + i).getBytes(StandardCharsets.UTF_8);
            try {
                System.out.printf("%s%n", producer.send(new Message("TopicTest", "TagA", body)));
            } catch (Exception e) {
                e.printStackTrace();
                Thread.sleep(1000);
            }
        }
        producer.shutdown();
    }
}
