// Completes TLS with 127.0.0.1:PORT as NAME under the roots of a PEM file: verify.js ROOTS [NAME PORT]...
const fs = require('fs');
const net = require('net');
const tls = require('tls');

const ca = fs.readFileSync(process.argv[2]);
for (let i = 3; i + 1 < process.argv.length; i += 2) {
  const name = process.argv[i];
  const options = { host: name, ca, checkServerIdentity: tls.checkServerIdentity };
  options.socket = net.connect(Number(process.argv[i + 1]), '127.0.0.1');
  if (!net.isIP(name)) options.servername = name;
  const s = tls.connect(options, () => { console.log(name + ' accepted'); s.end(); });
  s.on('error', (e) => console.log(name + ' refused ' + e.code));
}
