// Command kubevirt-manifests prints, as one JSON object, what KubeVirt's operator installs for its control plane.
//
// The objects come from the operator's own install strategy, so they are what a cluster of that version holds.
// Left out is what serves parts that do not run here: the webhook of virt-operator itself, and the one for
// virt-launcher pods, which the operator installs under the ContainerPathVolumes feature gate alone.
//
// Its output is kept in planebench as data, one file a version; README.md beside this file tells how to renew it.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiregv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	virtv1 "kubevirt.io/api/core/v1"
	"kubevirt.io/kubevirt/pkg/virt-operator/resource/generate/components"
	"kubevirt.io/kubevirt/pkg/virt-operator/resource/generate/install"
	operatorutil "kubevirt.io/kubevirt/pkg/virt-operator/util"
)

const (
	module    = "kubevirt.io/kubevirt"
	namespace = "kubevirt"
	registry  = "quay.io/kubevirt"
)

type manifests struct {
	Version   string `json:"version"`
	Namespace string `json:"namespace"`

	CRDs []*extv1.CustomResourceDefinition `json:"crds"`
	// RBAC holds service accounts first, then roles, then bindings.
	RBAC               []any                                         `json:"rbac"`
	PriorityClass      *schedulingv1.PriorityClass                   `json:"priorityClass"`
	MutatingWebhooks   []*admissionv1.MutatingWebhookConfiguration   `json:"mutatingWebhooks"`
	ValidatingWebhooks []*admissionv1.ValidatingWebhookConfiguration `json:"validatingWebhooks"`
	// AdmissionPolicies holds policies first, then their bindings.
	AdmissionPolicies []any                  `json:"admissionPolicies"`
	APIServices       []*apiregv1.APIService `json:"apiServices"`
	VirtHandler       *appsv1.DaemonSet      `json:"virtHandler"`
	// VirtAPI and VirtController tell the images and flags that the operator would run.
	VirtAPI        *appsv1.Deployment `json:"virtApi"`
	VirtController *appsv1.Deployment `json:"virtController"`
}

func main() {
	if err := write(); err != nil {
		fmt.Fprintln(os.Stderr, "kubevirt-manifests:", err)
		os.Exit(1)
	}
}

func write() error {
	version, err := moduleVersion(module)
	if err != nil {
		return err
	}
	m, err := collect(version)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(m)
}

func moduleVersion(path string) (string, error) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "", fmt.Errorf("built without module information")
	}
	for _, dep := range info.Deps {
		if dep.Path == path {
			return dep.Version, nil
		}
	}
	return "", fmt.Errorf("built without module %s", path)
}

func collect(version string) (*manifests, error) {
	config := operatorutil.GetTargetConfigFromKV(&virtv1.KubeVirt{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace},
		Spec:       virtv1.KubeVirtSpec{ImageRegistry: registry, ImageTag: version},
	})
	strategy, err := install.GenerateCurrentInstallStrategy(config, "", namespace)
	if err != nil {
		return nil, err
	}
	kubeVirtCRD, err := components.NewKubeVirtCrd()
	if err != nil {
		return nil, err
	}
	m := &manifests{
		Version:       version,
		Namespace:     namespace,
		CRDs:          append([]*extv1.CustomResourceDefinition{kubeVirtCRD}, strategy.CRDs()...),
		PriorityClass: components.NewKubeVirtPriorityClassCR(),
		APIServices:   strategy.APIServices(),
	}
	m.RBAC = appendAll(m.RBAC, strategy.ServiceAccounts())
	m.RBAC = appendAll(m.RBAC, strategy.ClusterRoles())
	m.RBAC = appendAll(m.RBAC, strategy.Roles())
	m.RBAC = appendAll(m.RBAC, strategy.ClusterRoleBindings())
	m.RBAC = appendAll(m.RBAC, strategy.RoleBindings())
	m.AdmissionPolicies = appendAll(m.AdmissionPolicies, strategy.ValidatingAdmissionPolicies())
	m.AdmissionPolicies = appendAll(m.AdmissionPolicies, strategy.ValidatingAdmissionPolicyBindings())
	for _, w := range strategy.MutatingWebhookConfigurations() {
		if w.Name == components.VirtAPIMutatingWebhookName {
			m.MutatingWebhooks = append(m.MutatingWebhooks, w)
		}
	}
	for _, w := range strategy.ValidatingWebhookConfigurations() {
		if w.Name == components.VirtAPIValidatingWebhookName {
			m.ValidatingWebhooks = append(m.ValidatingWebhooks, w)
		}
	}
	for _, d := range strategy.DaemonSets() {
		if d.Name == components.VirtHandlerName {
			m.VirtHandler = d
		}
	}
	for _, d := range strategy.Deployments() {
		switch d.Name {
		case components.VirtAPIName:
			m.VirtAPI = d
		case components.VirtControllerName:
			m.VirtController = d
		}
	}
	if m.MutatingWebhooks == nil || m.ValidatingWebhooks == nil || m.VirtHandler == nil ||
		m.VirtAPI == nil || m.VirtController == nil {
		return nil, fmt.Errorf("%s %s names its parts differently: adapt this generator", module, version)
	}
	return m, nil
}

func appendAll[T any](all []any, some []T) []any {
	for _, one := range some {
		all = append(all, one)
	}
	return all
}
