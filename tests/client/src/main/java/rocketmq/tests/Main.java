package rocketmq.tests;

import java.util.List;

/** Sends, receives and keeps books for the end-to-end tests. The name servers come from NAMESRV_ADDR. */
public final class Main {
    private static final String USAGE = """
        client topic --topic T [--queues 4]
            makes the topic on every master
        client send --topic T [--count 100] [--timeout-ms 3000] [--bodies PREFIX] [--queues 4] [--timeout-s 120]
            sends to every queue in turn, each message once; counts statuses and errors, in all and per broker
        client receive --topic T --group G --expect N [--bodies PREFIX] [--timeout-s 60]
            receives until N distinct bodies (that start with PREFIX) have come; exit code 1 if they have not
        client transaction --topic T --body B [--undecided-s 60] [--timeout-s 600]
            sends a message of a transaction, leaves it undecided for a while however often it is asked, then commits it
        client probe --topic T [--broker NAME] [--rate 50] [--seconds 60] [--timeout-ms 1000] [--queues 4]
            keeps sending to each broker (or one); prints each change between ok and failing, and the longest gap
        client newcomers --topic T [--seconds 600] [--every-ms 1000]
            starts a new producer again and again, each of which sends one message; prints what became of each
        client ledger produce --dir D [--topics 3] [--prefix ledger] [--rate 200] [--seconds 60] [--count 0] [--queues 8]
            sends numbered messages to several topics and writes down those that were answered SEND_OK
        client ledger consume --dir D [--topics 3] [--prefix ledger] [--groups g1,g2] [--timeout-s 120] [--idle-s 0]
            writes down what each group receives, until it has all that finished producers wrote down, or nothing came for a while
        client ledger verify --dir D
            compares the books; exit code 1 if an acknowledged message was not received by every group
        Each prints one line of JSON at the end, and ends early, with its result, on SIGTERM. A topic that no name server knows is made.
        """;

    private Main() {
    }

    public static void main(String[] args) throws InterruptedException {
        Json.ownStandardOutput();
        Stop stop = new Stop();
        int code;
        try {
            code = run(stop, List.of(args));
        } catch (IllegalArgumentException e) {
            System.err.println(e.getMessage() + "\n" + USAGE);
            code = 2;
        } catch (InterruptedException e) {
            throw e;
        } catch (Exception e) {
            e.printStackTrace();
            Json.print(Json.object("command", String.join(" ", args), "failed", String.valueOf(e)));
            code = 1;
        }
        stop.printed();
        System.exit(code);
    }

    private static int run(Stop stop, List<String> words) throws Exception {
        String command = words.isEmpty() ? "" : words.get(0);
        if (command.equals("ledger") && words.size() > 1) {
            command += " " + words.get(1);
        }
        List<String> rest = words.subList(Math.min(words.size(), command.split(" ").length), words.size());
        return switch (command) {
            case "topic" -> Topics.run(new Options(rest, "topic", "queues"));
            case "send" -> Send.run(stop, new Options(rest, "topic", "count", "timeout-ms", "bodies", "queues", "timeout-s"));
            case "receive" -> Receive.run(stop, new Options(rest, "topic", "group", "expect", "bodies", "timeout-s"));
            case "transaction" -> Transaction.run(stop, new Options(rest, "topic", "body", "undecided-s", "timeout-s"));
            case "probe" -> Probe.run(stop, new Options(rest, "topic", "broker", "rate", "seconds", "timeout-ms", "queues"));
            case "newcomers" -> Newcomers.run(stop, new Options(rest, "topic", "seconds", "every-ms"));
            case "ledger produce" -> LedgerProduce.run(stop,
                new Options(rest, "dir", "topics", "prefix", "rate", "seconds", "count", "queues"));
            case "ledger consume" -> LedgerConsume.run(stop,
                new Options(rest, "dir", "topics", "prefix", "groups", "timeout-s", "idle-s"));
            case "ledger verify" -> Ledger.verify(new Options(rest, "dir"));
            default -> throw new IllegalArgumentException("unknown command: " + String.join(" ", words));
        };
    }
}
