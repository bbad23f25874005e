package sfsim_test

import (
	"encoding/binary"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

func frame(m []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(m))), m...)
}

func TestSubscribeKeepaliveWithoutANetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := setup(t)
		g := f.grant()
		body, requests := io.Pipe()
		r := must(http.NewRequestWithContext(t.Context(), "POST", "https://api.pubsub.salesforce.com:7443/eventbus.v1.PubSub/Subscribe", body))(t)
		for name, value := range map[string]string{"content-type": "application/grpc", "te": "trailers", "accesstoken": g.AccessToken, "instanceurl": base, "tenantid": g.OrgID} {
			r.Header.Set(name, value)
		}
		go func() { _, _ = requests.Write(frame(fetch(topic, 7))) }()
		resp := must(f.client.Do(r))(t)
		read := func() map[int][]string {
			var head [5]byte
			_, err := io.ReadFull(resp.Body, head[:])
			check(t, err)
			m := make([]byte, binary.BigEndian.Uint32(head[1:]))
			_, err = io.ReadFull(resp.Body, m)
			check(t, err)
			return fields(t, m)
		}
		begun := time.Now()
		for i := range 3 {
			m := read()
			if since := time.Since(begun); since != time.Duration(i+1)*270*time.Second || len(m[1]) != 0 || len(m[2][0]) != 8 || m[4][0] != "7" {
				t.Errorf("keepalive %v after %v", m, since)
			}
		}
		check(t, requests.Close())
		if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) != 0 {
			t.Errorf("after the half-close: %q, %v", rest, err)
		}
		if resp.Trailer.Get("Grpc-Status") != "0" || resp.Trailer.Get("Rpc-Id") == "" {
			t.Errorf("trailers %v", resp.Trailer)
		}
		if x := f.Ledger().RPCs[0]; !x.Done || x.Received != 1 || x.Sent != 3 {
			t.Errorf("ledger %+v", x)
		}
	})
}
