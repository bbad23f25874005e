import java.net.Authenticator;
import java.net.PasswordAuthentication;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;

/**
 * Java's HttpClient. The proxy and the trust store are system properties; the proxy's password is the Authenticator's.
 * A client with an Authenticator sends no Authorization that its user sets: fine with sallyport, which fills it.
 */
class Client {
    static final String api = System.getenv("INSTANCE_URL") + "/services/data/v65.0";

    static final HttpClient http = HttpClient.newBuilder().connectTimeout(Duration.ofMinutes(1)).authenticator(new Authenticator() {
        @Override
        protected PasswordAuthentication getPasswordAuthentication() {
            return getRequestorType() == RequestorType.PROXY
                ? new PasswordAuthentication(System.getenv("SALLYPORT_CLIENT"), System.getenv("SALLYPORT_CLIENT_SECRET").toCharArray())
                : null;
        }
    }).build();

    static String call(String method, String path, String body, int want) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(api + path)).timeout(Duration.ofMinutes(1))
            .header("Authorization", "Bearer " + System.getenv("ACCESS_TOKEN")).header("Content-Type", "application/json")
            .method(method, body == null ? BodyPublishers.noBody() : BodyPublishers.ofString(body)).build();
        HttpResponse<String> response = http.send(request, BodyHandlers.ofString());
        if (response.statusCode() != want) {
            throw new IllegalStateException(method + " " + path + ": " + response.statusCode() + " " + response.body());
        }
        return response.body();
    }

    static void round() throws Exception {
        if (!call("GET", "/query?q=SELECT+Id,Name+FROM+Account+LIMIT+4", null, 200).contains("\"totalSize\":4")) {
            throw new IllegalStateException("not four records");
        }
        String made = call("POST", "/sobjects/Account", "{\"Name\":\"Acme\"}", 201);
        String id = made.replaceAll(".*\"id\":\"(\\w+)\".*", "$1");
        call("PATCH", "/sobjects/Account/" + id, "{\"Name\":\"Acme 2\"}", 204);
        call("DELETE", "/sobjects/Account/" + id, null, 204);
    }

    public static void main(String[] args) throws Exception {
        Path stop = Path.of(System.getenv("STOP"));
        while (!Files.exists(stop)) {
            String said = "{\"ok\":true}";
            try {
                round();
            } catch (Exception e) {
                said = "{\"ok\":false,\"error\":\"" + String.valueOf(e).replaceAll("[^\\w .,:;/=()!-]", " ") + "\"}";
            }
            System.out.println(said);
            if (System.getenv("ONCE") != null) {
                break;
            }
            Thread.sleep(300);
        }
        System.exit(0);
    }
}
