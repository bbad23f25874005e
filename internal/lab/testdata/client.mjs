// A client as Node has it: CONNECT through HTTPS_PROXY, then TLS with the CA of
// NODE_EXTRA_CA_CERTS, and no Salesforce secret.
import http from 'node:http';
import https from 'node:https';

const proxy = new URL(process.env.HTTPS_PROXY);
const target = new URL(process.argv[2]);
http.request({
  host: proxy.hostname, port: proxy.port, method: 'CONNECT', path: `${target.hostname}:443`,
  headers: {'Proxy-Authorization': 'Basic ' + Buffer.from(`${proxy.username}:${proxy.password}`).toString('base64')},
}).on('connect', (answer, socket) => {
  if (answer.statusCode !== 200) throw new Error(`CONNECT: ${answer.statusCode}`);
  https.get(target, {socket, agent: false, servername: target.hostname}, (res) => {
    res.pipe(process.stdout);
    res.on('end', () => process.exit(res.statusCode === 200 ? 0 : 1));
  });
}).end();
