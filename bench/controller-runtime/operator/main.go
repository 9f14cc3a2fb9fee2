// An operator for Holdfast's kinds as a Go team would ship it: the floor of the benchmark controller-runtime. It does what
// Holdfast does from a manifest to a running guest, and nothing else: what it made is deleted by Holdfast's own controllers.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const (
	name = "holdfast-controller-runtime"
	// The default of one would have machines wait for each other. As many as the benchmark creates at once.
	workers = 50
)

type options struct {
	ca, certificate, key, probes string
	term                         int
}

func main() {
	var given options
	flag.StringVar(&given.ca, "agent-ca", "", "file of the authority of the agents, PEM")
	flag.StringVar(&given.certificate, "agent-cert", "", "file of the certificate that agents are shown, PEM")
	flag.StringVar(&given.key, "agent-key", "", "file of its key, PEM")
	flag.StringVar(&given.probes, "health-probe-bind-address", "0", "where /readyz is served")
	flag.IntVar(&given.term, "term", 1, "number of this leadership, for the agents")
	flag.Parse() // --kubeconfig is a flag of controller-runtime itself.
	ctrl.SetLogger(zap.New())
	if err := run(ctrl.SetupSignalHandler(), given); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, given options) error {
	caller, err := newCaller(given.ca, given.certificate, given.key, given.term)
	if err != nil {
		return err
	}
	mgr, err := newManager(given.probes)
	if err != nil {
		return err
	}
	fleet, ledger := newFleet(caller), newLedger()
	if err := follow(ctx, mgr.GetCache(), fleet, ledger); err != nil {
		return err
	}
	recorder := mgr.GetEventRecorder(name)
	// As Holdfast's controllers, who do not have the server read twice what they write.
	writer := client.WithFieldValidation(client.WithFieldOwner(mgr.GetClient(), name), metav1.FieldValidationIgnore)
	parallel := controller.Options{MaxConcurrentReconciles: workers}
	disks := &diskReconciler{Client: writer, fleet: fleet, events: recorder}
	if err := disks.setUp(mgr, parallel); err != nil {
		return err
	}
	machines := &machineReconciler{Client: writer, fleet: fleet, ledger: ledger, events: recorder}
	if err := machines.setUp(mgr, parallel); err != nil {
		return err
	}
	if err := mgr.AddReadyzCheck("hosts", fleet.check); err != nil {
		return err
	}
	return mgr.Start(ctx)
}

func newManager(probes string) (ctrl.Manager, error) {
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	addToScheme(scheme)
	config, err := ctrl.GetConfig()
	if err != nil {
		return nil, err
	}
	// The default of 20 requests a second would be all that is measured. The server has a limit of its own.
	config.QPS = -1
	return ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme,
		// Nobody reads them, and they are half of an object.
		Cache:                  cache.Options{DefaultTransform: cache.TransformStripManagedFields()},
		Metrics:                server.Options{BindAddress: "127.0.0.1:0"},
		HealthProbeBindAddress: probes,
		// No leader election: its lock needs update on Leases, which Holdfast's controllers may patch only. It would be one
		// more write every 2 s.
	})
}

// Keeps the connections to the hosts and the sums of what is placed on them as the cache tells.
func follow(ctx context.Context, from cache.Cache, fleet *fleet, ledger *ledger) error {
	hosts, err := from.GetInformer(ctx, &Host{})
	if err != nil {
		return err
	}
	all, err := hosts.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { withA(object, func(host *Host) { fleet.put(ctx, host) }) },
		UpdateFunc: func(_, object any) { withA(object, func(host *Host) { fleet.put(ctx, host) }) },
		DeleteFunc: func(object any) { withA(object, func(host *Host) { fleet.remove(host.Name) }) },
	})
	if err != nil {
		return err
	}
	fleet.isComplete = all.HasSynced
	machines, err := from.GetInformer(ctx, &VirtualMachine{})
	if err != nil {
		return err
	}
	_, err = machines.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { withA(object, ledger.count) },
		UpdateFunc: func(_, object any) { withA(object, ledger.count) },
		DeleteFunc: func(object any) { withA(object, func(vm *VirtualMachine) { ledger.release(vm.UID) }) },
	})
	return err
}

// Also when the watch missed its deletion.
func withA[T any](object any, do func(T)) {
	if gone, isGone := object.(toolscache.DeletedFinalStateUnknown); isGone {
		object = gone.Obj
	}
	if found, is := object.(T); is {
		do(found)
	}
}
