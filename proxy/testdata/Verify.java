import java.io.FileInputStream;
import java.net.Socket;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

/** Completes TLS with 127.0.0.1:PORT as NAME under the roots of a PEM file: Verify ROOTS [NAME PORT]... */
public class Verify {
    public static void main(String[] args) throws Exception {
        KeyStore roots = KeyStore.getInstance("PKCS12");
        roots.load(null, null);
        try (FileInputStream in = new FileInputStream(args[0])) {
            int i = 0;
            for (Certificate c : CertificateFactory.getInstance("X.509").generateCertificates(in)) {
                roots.setCertificateEntry("root" + i++, c);
            }
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(roots);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        for (int i = 1; i + 1 < args.length; i += 2) {
            int port = Integer.parseInt(args[i + 1]);
            try (Socket plain = new Socket("127.0.0.1", port);
                    SSLSocket s = (SSLSocket) context.getSocketFactory().createSocket(plain, args[i], port, true)) {
                SSLParameters p = s.getSSLParameters();
                p.setEndpointIdentificationAlgorithm("HTTPS");
                s.setSSLParameters(p);
                s.startHandshake();
                System.out.println(args[i] + " accepted");
            } catch (javax.net.ssl.SSLException e) {
                System.out.println(args[i] + " refused " + e.getMessage());
            }
        }
    }
}
