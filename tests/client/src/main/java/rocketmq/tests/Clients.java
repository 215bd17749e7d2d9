package rocketmq.tests;

import java.nio.charset.StandardCharsets;
import java.util.Collection;
import java.util.function.Consumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Producers and consumers as applications have them: RocketMQ's defaults but for what is said here. */
final class Clients {
    /** Within this a cluster that has just started answers, however busy its node is. */
    private static final long START_MS = 120_000;

    /** Not one request for each message: that would be most of what a broker does in a story. */
    private static final long PULL_INTERVAL_MS = 100;

    private Clients() {
    }

    static DefaultMQProducer producer(String name) throws MQClientException {
        DefaultMQProducer producer = new DefaultMQProducer("tests-" + name);
        producer.setInstanceName(name + "-" + System.nanoTime());
        producer.start();
        return producer;
    }

    /** A started consumer. A start fails if a name server does not answer at that moment, so it is tried for a while. */
    static DefaultMQPushConsumer consumer(String group, Collection<String> topics, Consumer<MessageExt> onMessage)
        throws MQClientException, InterruptedException {
        long deadline = System.currentTimeMillis() + START_MS;
        while (true) {
            DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
            consumer.setInstanceName(group + "-" + System.nanoTime());
            consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
            consumer.setPullInterval(PULL_INTERVAL_MS);
            for (String topic : topics) {
                consumer.subscribe(topic, "*");
            }
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                messages.forEach(onMessage);
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
            try {
                consumer.start();
                return consumer;
            } catch (MQClientException | IllegalStateException e) {
                consumer.shutdown();
                if (System.currentTimeMillis() > deadline) {
                    throw e;
                }
            }
            Thread.sleep(500);
        }
    }

    static Message message(String topic, String body) {
        return new Message(topic, body.getBytes(StandardCharsets.UTF_8));
    }

    static String body(MessageExt message) {
        return new String(message.getBody(), StandardCharsets.UTF_8);
    }

    /** The error's class, with the broker's response code if it answered. */
    static String name(Throwable error) {
        String name = error.getClass().getSimpleName();
        return error instanceof MQBrokerException answer ? name + "(" + answer.getResponseCode() + ")" : name;
    }
}
