package rocketmq.tests;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** SIGTERM asks the commands to end; the process lives on until the result is printed. */
final class Stop {
    private static final long LAST_WORDS_SECONDS = 20;

    private final CountDownLatch asked = new CountDownLatch(1);
    private final CountDownLatch printed = new CountDownLatch(1);

    Stop() {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            asked.countDown();
            try {
                printed.await(LAST_WORDS_SECONDS, TimeUnit.SECONDS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }));
    }

    boolean asked() {
        return asked.getCount() == 0;
    }

    /** Waits until the moment (epoch milliseconds) has come or the process is asked to stop, and tells if it may go on. */
    boolean waitUntil(long moment) throws InterruptedException {
        return !asked.await(moment - System.currentTimeMillis(), TimeUnit.MILLISECONDS);
    }

    void printed() {
        printed.countDown();
    }
}
