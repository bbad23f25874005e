package egress

import "net/netip"

// source is a local address with its hash.
type source struct {
	addr netip.Addr
	hash uint64
}

func newSources(addrs []netip.Addr) []source {
	out := make([]source, len(addrs))
	for i, a := range addrs {
		out[i] = source{addr: a, hash: hash(a.String())}
	}
	return out
}

// choose picks by rendezvous hashing (Thaler and Ravishankar, 1998): the address with the greatest weight for key.
// It returns the zero Addr when there is none to choose from. It does not allocate.
func choose(sources []source, key string) netip.Addr {
	var best netip.Addr
	var most uint64
	k := hash(key)
	for _, s := range sources {
		w := mix(k ^ s.hash)
		if !best.IsValid() || w > most || w == most && s.addr.Less(best) {
			best, most = s.addr, w
		}
	}
	return best
}

// hash is FNV-1a, mixed. It is part of what keeps an org on its address across restarts and replicas: changing it
// moves orgs.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h)
}

// mix is the finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
