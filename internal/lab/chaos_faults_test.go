package lab_test

import (
	"errors"
	"time"

	"github.com/sallyport/sallyport/internal/sfsim"
)

// faults are those of replicas and of Salesforce, the same in each topology.
func (x *chaos) faults() map[string]func(*chaos) error {
	return map[string]func(*chaos) error{
		"a replica killed":                       func(x *chaos) error { return x.killOne(false) },
		"a replica killed within an exchange":    func(x *chaos) error { return x.killOne(true) },
		"a replica suspended":                    func(x *chaos) error { return x.suspendOne(false) },
		"a replica suspended within an exchange": func(x *chaos) error { return x.suspendOne(true) },
		"a session killed": func(x *chaos) error {
			x.killSession(x.anyOrg())
			return nil
		},
		"an answer that says nothing": func(x *chaos) error { return x.badAnswer(silentFaults) },
		"an answer lost":              func(x *chaos) error { return x.badAnswer(losingFaults) },
		"introspection away": func(x *chaos) error {
			remove := x.sim().Inject(sfsim.HTML(503).On(sfsim.EndpointIntrospect).For(-1))
			defer remove()
			x.wait(x.dice.between(500*time.Millisecond, 3*time.Second))
			return nil
		},
	}
}

// within begins an exchange on replica i and returns at an instant of it.
func (x *chaos) within(i int) {
	disarm := x.sim().Inject(sfsim.DelayAfter(x.dice.between(0, 3*time.Millisecond)))
	defer disarm()
	x.exchange(x.anyOrg(), i)
	x.wait(x.dice.between(0, 8*time.Millisecond))
}

func (x *chaos) killOne(within bool) error {
	i := x.dice.IntN(chaosReplicas)
	if within {
		x.within(i)
	}
	if err := x.kill(i); err != nil {
		return err
	}
	x.wait(x.dice.between(0, 3*time.Second))
	return x.restart(i)
}

// suspendOne suspends a replica for longer than its locks live, and than a
// takeover waits.
func (x *chaos) suspendOne(within bool) error {
	i := x.dice.IntN(chaosReplicas)
	if within {
		x.within(i)
	}
	x.down[i].open()
	defer x.down[i].close()
	if err := x.replicas[i].Freeze(); err != nil {
		return err
	}
	x.wait(x.dice.between(1200*time.Millisecond, 4*time.Second))
	return x.replicas[i].Thaw()
}

// silentFaults leave the refresh token as it was, and don't say so.
var silentFaults = []sfsim.Fault{
	sfsim.ServerError(), sfsim.CloseBefore(), sfsim.HTML(503), sfsim.NotJSON(), sfsim.DelayBefore(300 * time.Millisecond),
}

// losingFaults spend the refresh token, and the new one reaches nobody.
var losingFaults = []sfsim.Fault{
	sfsim.LoseAnswer(), sfsim.ResetAnswer(), sfsim.ServerError().Committed(), sfsim.Truncate(20), sfsim.DelayAfter(1500 * time.Millisecond),
}

func (x *chaos) badAnswer(faults []sfsim.Fault) error {
	org := x.anyOrg()
	disarm := x.sim().Inject(faults[x.dice.IntN(len(faults))])
	defer disarm()
	if x.dice.chance(50) {
		x.killSession(org) // callers wait for this very exchange
	}
	x.exchange(org, x.dice.IntN(chaosReplicas))
	x.wait(1600 * time.Millisecond)
	if x.t.Context().Err() != nil {
		return errors.New("the test ended")
	}
	return nil
}
