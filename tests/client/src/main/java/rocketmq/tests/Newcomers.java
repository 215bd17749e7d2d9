package rocketmq.tests;

import org.apache.rocketmq.client.producer.DefaultMQProducer;

/** Producers that have just come and know nothing yet: each finds the topic's route and sends one message, or says why it could not. */
final class Newcomers {
    private Newcomers() {
    }

    static int run(Stop stop, Options options) throws Exception {
        String topic = options.text("topic");
        int everyMs = options.number("every-ms", 1000);
        long start = System.currentTimeMillis();
        long end = start + options.number("seconds", 600) * 1000L;
        int came = 0;
        int failed = 0;
        // no catching up: after one that hung the next one comes a whole interval later
        while (System.currentTimeMillis() < end && stop.waitUntil(System.currentTimeMillis() + everyMs)) {
            long at = System.currentTimeMillis();
            String error = error(topic, came);
            came++;
            failed += error == null ? 0 : 1;
            Json.print(Json.object("event", "newcomer", "at", at, "tookMs", System.currentTimeMillis() - at, "error", error));
        }
        Json.print(Json.object("command", "newcomers", "topic", topic, "came", came, "failed", failed));
        return failed == 0 ? 0 : 1;
    }

    private static String error(String topic, int number) throws InterruptedException {
        DefaultMQProducer producer = null;
        try {
            producer = Clients.producer("newcomer");
            return switch (producer.send(Clients.message(topic, "newcomer-" + number)).getSendStatus()) {
                case SEND_OK -> null;
                case FLUSH_DISK_TIMEOUT, FLUSH_SLAVE_TIMEOUT, SLAVE_NOT_AVAILABLE -> "not acknowledged in full";
            };
        } catch (InterruptedException e) {
            throw e;
        } catch (Exception e) {
            return String.valueOf(e);
        } finally {
            if (producer != null) {
                producer.shutdown();
            }
        }
    }
}
